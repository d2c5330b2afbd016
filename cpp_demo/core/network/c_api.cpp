#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "skyedge/skyedge.h"
#include "skyedge/sky_segmenter.h"

namespace {

using skyedge::Error;
using skyedge::ErrorCode;
using skyedge::Failure;
using skyedge::Result;
using skyedge::SkySegmenter;

// A fixed buffer, so that reporting an error cannot fail.
thread_local char last_error[1024] = "";

int tell(ErrorCode code, const char* message) noexcept {
    std::size_t i = 0;
    for (; message[i] != '\0' && i + 1 < sizeof last_error; ++i) {
        last_error[i] = message[i];
    }
    last_error[i] = '\0';
    return static_cast<int>(code);
}

template <class Body>
int guarded(const Body& body) noexcept {
    try {
        const Failure failure = body();
        return failure ? tell(failure->code, failure->message.c_str()) : SKYEDGE_OK;
    } catch (const std::exception& error) {
        return tell(ErrorCode::kMemory, error.what());
    }
}

// A struct of an older header would be shorter; so far each struct has had one size.
template <class Struct>
Failure check_struct(const Struct* given, const char* name) {
    if (given != nullptr && given->struct_size >= sizeof(Struct)) {
        return std::nullopt;
    }
    return Error{std::string("got ") + (given == nullptr ? "no " : "a struct_size that is too small in ") + name +
                 ", expected one filled by skyedge_" + name + "_init"};
}

Result<skyedge::Options> to_options(const skyedge_options* given) {
    skyedge::Options options;
    if (given != nullptr) {
        if (const Failure failure = check_struct(given, "options")) {
            return *failure;
        }
        options.threads = given->threads;
        options.fp16 = given->fp16 != 0;
        options.vulkan = given->vulkan != 0;
        options.big_cores = given->big_cores != 0;
        options.self_test = given->self_test != 0;
    }
    return options;
}

}  // namespace

struct skyedge_segmenter {
    SkySegmenter network;
    std::string notes;
    skyedge::Workspace workspace{};
    std::mutex mutex{};
};

namespace {

Failure keep(const Result<SkySegmenter>& opened, skyedge_segmenter** segmenter) {
    if (!opened) {
        return opened.error();
    }
    std::string notes;
    for (const std::string& note : opened.value().notes()) {
        notes += (notes.empty() ? "" : "\n") + note;
    }
    *segmenter = new skyedge_segmenter{opened.value(), std::move(notes)};
    return std::nullopt;
}

template <class Struct>
void init(Struct* given) {
    if (given != nullptr) {
        *given = Struct{};
        given->struct_size = sizeof *given;
    }
}

std::vector<std::uint8_t> copy_of(const skyedge_bytes& file) {
    const auto* bytes = static_cast<const std::uint8_t*>(file.data);
    return {bytes, bytes + file.size};
}

}  // namespace

extern "C" {

const char* skyedge_version(void) { return SKYEDGE_VERSION; }

const char* skyedge_last_error(void) { return last_error; }

void skyedge_options_init(skyedge_options* options) {
    init(options);
    if (options != nullptr) {
        options->threads = 1;
    }
}

void skyedge_files_init(skyedge_files* files) { init(files); }

void skyedge_frame_init(skyedge_frame* frame) {
    init(frame);
    if (frame != nullptr) {
        frame->chroma_pixel_stride = 1;
    }
}

void skyedge_mask_init(skyedge_mask* mask) { init(mask); }

int skyedge_create(const char* folder, const skyedge_options* options, skyedge_segmenter** segmenter) {
    return guarded([&]() -> Failure {
        if (folder == nullptr || segmenter == nullptr) {
            return Error{"got NULL, expected a folder and a place for the segmenter"};
        }
        *segmenter = nullptr;
        const Result<skyedge::Options> known = to_options(options);
        return known ? keep(SkySegmenter::load(std::filesystem::u8path(folder), known.value()), segmenter)
                     : Failure(known.error());
    });
}

int skyedge_create_from_memory(const skyedge_files* files, const skyedge_options* options, skyedge_segmenter** segmenter) {
    return guarded([&]() -> Failure {
        if (segmenter == nullptr) {
            return Error{"got NULL, expected a place for the segmenter"};
        }
        *segmenter = nullptr;
        if (Failure failure = check_struct(files, "files")) {
            return failure;
        }
        if (files->json.data == nullptr || files->param.data == nullptr || files->bin.data == nullptr) {
            return Error{"got NULL, expected the three files of an artifact"};
        }
        const Result<skyedge::Options> known = to_options(options);
        if (!known) {
            return known.error();
        }
        const Result<skyedge::ModelSpec> spec =
            skyedge::parse_model_spec({static_cast<const char*>(files->json.data), files->json.size});
        if (!spec) {
            return spec.error();
        }
        skyedge::Artifact artifact{spec.value(), copy_of(files->param), copy_of(files->bin), {}};
        if (files->golden_input.data != nullptr && files->golden_output.data != nullptr) {
            const Result<skyedge::Golden> golden =
                skyedge::parse_golden(spec.value(), copy_of(files->golden_input), copy_of(files->golden_output));
            if (!golden) {
                return golden.error();
            }
            artifact.golden = golden.value();
        }
        return keep(SkySegmenter::from_artifact(std::move(artifact), known.value()), segmenter);
    });
}

int skyedge_segment(skyedge_segmenter* segmenter, const skyedge_frame* frame, const skyedge_mask* mask) {
    return guarded([&]() -> Failure {
        if (segmenter == nullptr) {
            return Error{"got NULL, expected a segmenter of skyedge_create"};
        }
        for (const Failure& failure : {check_struct(frame, "frame"), check_struct(mask, "mask")}) {
            if (failure) {
                return failure;
            }
        }
        skyedge::FrameView view;
        view.format = static_cast<skyedge::PixelFormat>(frame->format);
        view.width_px = frame->width;
        view.height_px = frame->height;
        view.planes = {frame->planes[0], frame->planes[1], frame->planes[2]};
        view.row_strides = {frame->row_strides[0], frame->row_strides[1], frame->row_strides[2]};
        view.chroma_pixel_stride = frame->chroma_pixel_stride;
        view.rotation_deg = frame->rotation;
        view.crop = {frame->crop_x, frame->crop_y, frame->crop_width, frame->crop_height};
        view.color = static_cast<skyedge::YuvColor>(frame->color);
        const skyedge::MaskView out{mask->data, static_cast<std::ptrdiff_t>(mask->row_stride), mask->width,
                                    mask->height, static_cast<skyedge::MaskFormat>(mask->format)};
        const std::lock_guard<std::mutex> lock(segmenter->mutex);
        return segmenter->network.segment(view, segmenter->workspace, out);
    });
}

int skyedge_input_size(const skyedge_segmenter* segmenter, int32_t* width, int32_t* height) {
    if (segmenter == nullptr || width == nullptr || height == nullptr) {
        return tell(ErrorCode::kArgument, "got NULL, expected a segmenter and two places for numbers");
    }
    *width = segmenter->network.spec().input.width_px;
    *height = segmenter->network.spec().input.height_px;
    return SKYEDGE_OK;
}

const char* skyedge_notes(const skyedge_segmenter* segmenter) {
    return segmenter == nullptr ? "" : segmenter->notes.c_str();
}

void skyedge_destroy(skyedge_segmenter* segmenter) { delete segmenter; }

}  // extern "C"
