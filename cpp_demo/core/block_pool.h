// Memory for ncnn's blobs that is handed out again, so that only the first run of a network allocates.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "allocator.h"

namespace skyedge {

// ncnn::PoolAllocator keeps the blobs too, but allocates a list node at each call, and gives any block that is large
// enough where this gives the smallest. ncnn's threads may share one.
class BlockPool : public ncnn::Allocator {
public:
    BlockPool() = default;
    ~BlockPool() override;
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    void* fastMalloc(std::size_t size_bytes) override;  // null where memory cannot be had
    void fastFree(void* memory) override;

private:
    struct Block {
        void* memory;
        std::size_t size_bytes;
        bool used;
    };

    std::mutex mutex_;
    std::vector<Block> blocks_;
};

}  // namespace skyedge
