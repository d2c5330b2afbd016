// Reuses the memory of ncnn's blobs, so that only the first run of a network allocates.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "allocator.h"

namespace skyedge {

// Unlike ncnn::PoolAllocator, it allocates no list node per call, and it returns the smallest block that is large enough.
// ncnn's threads may share one.
class BlockPool : public ncnn::Allocator {
public:
    BlockPool() = default;
    ~BlockPool() override;
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    void* fastMalloc(std::size_t size_bytes) override;  // null if there is no memory
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
