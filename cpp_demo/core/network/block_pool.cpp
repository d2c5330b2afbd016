#include "core/network/block_pool.h"

#include <algorithm>
#include <new>

namespace skyedge {

BlockPool::~BlockPool() {
    for (const Block& block : blocks_) {
        ncnn::fastFree(block.memory);
    }
}

void* BlockPool::fastMalloc(std::size_t size_bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Block* best = nullptr;
    for (Block& block : blocks_) {
        if (!block.used && block.size_bytes >= size_bytes && (best == nullptr || block.size_bytes < best->size_bytes)) {
            best = &block;
        }
    }
    if (best != nullptr) {
        best->used = true;
        return best->memory;
    }
    void* memory = ncnn::fastMalloc(size_bytes);
    if (memory != nullptr) {
        try {
            blocks_.push_back({memory, size_bytes, true});
        } catch (const std::bad_alloc&) {  // ncnn expects null instead
            ncnn::fastFree(memory);
            memory = nullptr;
        }
    }
    return memory;
}

void BlockPool::fastFree(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found =
        std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& block) { return block.memory == memory; });
    if (found != blocks_.end()) {
        found->used = false;
    }
}

}  // namespace skyedge
