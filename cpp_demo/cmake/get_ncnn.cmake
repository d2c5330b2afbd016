cmake_minimum_required(VERSION 3.20)

# skyedge_get_ncnn(OUT): fetch, check and build ncnn as one static library, and set OUT to the folder of its CMake package.
#   cmake -DSKYEDGE_CACHE=DIR -P get_ncnn.cmake    the same without a project, for this machine
# Source and library stay in SKYEDGE_CACHE. The library's folder is named after the source's sha256, the compiler and the flags, so
# every build folder of every clone with this cache shares it. The source is the sdist of PyPI, checked by its sha256: in the cache,
# at SKYEDGE_NCNN_URL (an address or a path), or on the index that pip is configured for (`pip download` refuses it, because its
# setup.py names its version after the day of the build). Only the last needs Python.
set(SKYEDGE_NCNN_RELEASE 20261020)
set(SKYEDGE_NCNN_SDIST "ncnn-1.0.${SKYEDGE_NCNN_RELEASE}.tar.gz")
set(SKYEDGE_NCNN_SHA256 ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200)

# What the networks of this project use, and what those layers make for themselves (Gemm, Packing, Cast, Padding).
set(SKYEDGE_NCNN_LAYERS
  BinaryOp Cast Clip Concat Convolution ConvolutionDepthWise Crop Dequantize Flatten Gemm HardSigmoid HardSwish InnerProduct Input
  Interp MemoryData Noop Packing Padding Permute PixelShuffle Pooling Quantize ReLU Reorg Requantize Reshape Sigmoid Slice Split)
set(SKYEDGE_NCNN_FLAGS
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_LIBDIR=lib
  -DCMAKE_CXX_FLAGS=-w  # GCC's warnings about this code fill 54 MB
  -DNCNN_VERSION=${SKYEDGE_NCNN_RELEASE} -DNCNN_SHARED_LIB=OFF -DNCNN_VULKAN=OFF
  -DNCNN_SIMPLEOCV=OFF  # ON declares cv:: names of its own, which clash with OpenCV
  -DNCNN_OPENMP=ON -DNCNN_BF16=OFF
  -DNCNN_XOP=OFF -DNCNN_FMA4=OFF  # instructions of one AMD family of 2011 to 2016, which has AVX as well
  -DNCNN_C_API=OFF -DNCNN_PIXEL_ROTATE=OFF -DNCNN_PIXEL_AFFINE=OFF -DNCNN_PIXEL_DRAWING=OFF -DNCNN_BUILD_TOOLS=OFF
  -DNCNN_BUILD_EXAMPLES=OFF -DNCNN_BUILD_BENCHMARK=OFF -DNCNN_BUILD_TESTS=OFF -DNCNN_DISABLE_RTTI=OFF -DNCNN_DISABLE_EXCEPTION=OFF)

# Sets OUT to pip's value for a key: of the environment, else of the section [download], else of [global].
function(skyedge_pip_value out config key)
  set(${out} "" PARENT_SCOPE)
  foreach(section IN ITEMS ":env:" "download" "global")
    if("${config}" MATCHES "(^|\n)${section}\\.${key}='([^\n]*)'")
      string(REPLACE "\\n" " " value "${CMAKE_MATCH_2}")
      set(${out} "${value}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# Downloads ADDRESS to FILE; sets OUT to what went wrong.
function(skyedge_download out address file certificates)
  set(trust "")
  if(certificates)
    set(trust TLS_CAINFO "${certificates}")
  endif()
  file(DOWNLOAD "${address}" "${file}" STATUS status TLS_VERIFY ON ${trust} INACTIVITY_TIMEOUT 120)
  list(GET status 0 code)
  list(GET status 1 text)
  if(code EQUAL 0)
    set(text "")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# Puts the sdist with the right sha256 at FILE.
function(skyedge_find_sdist file)
  set(tried "")
  set(addresses "")
  set(certificates "")
  if(SKYEDGE_NCNN_URL)
    set(addresses "${SKYEDGE_NCNN_URL}")
  else()
    if(Python3_EXECUTABLE)
      set(python "${Python3_EXECUTABLE}")
    else()
      find_program(SKYEDGE_PYTHON NAMES python3 python NO_CMAKE_FIND_ROOT_PATH)
      set(python "${SKYEDGE_PYTHON}")
    endif()
    set(config "")
    if(python)
      execute_process(COMMAND "${python}" -m pip config list OUTPUT_VARIABLE config ERROR_QUIET)
    endif()
    foreach(key IN ITEMS index-url extra-index-url cert no-index)
      skyedge_pip_value(pip_${key} "${config}" ${key})
    endforeach()
    set(certificates "${pip_cert}")
    if(NOT python)
      set(tried "there is no Python whose pip could name an index")
    elseif(pip_no-index MATCHES "^(1|true|yes|on)$")
      set(tried "pip is set to no-index")
    elseif(NOT pip_index-url)  # pip's own default
      execute_process(COMMAND "${python}" -c "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
        OUTPUT_VARIABLE pip_index-url OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    endif()
    if(tried STREQUAL "")
      separate_arguments(indexes UNIX_COMMAND "${pip_index-url} ${pip_extra-index-url}")
      foreach(index IN LISTS indexes)
        string(REGEX REPLACE "/+$" "" index "${index}")
        string(REGEX REPLACE "^(https?://)([^/]*@)" "\\1" shown "${index}")  # no password in a message
        set(page "${index}/ncnn/")
        if(page MATCHES "^file:")  # which has no notion of a folder's default page
          skyedge_download(wrong "${page}index.html" "${file}.page" "")
        else()
          skyedge_download(wrong "${page}" "${file}.page" "${certificates}")
        endif()
        set(text "")
        if(NOT wrong)
          file(READ "${file}.page" text)
        endif()
        file(REMOVE "${file}.page")
        string(REPLACE "." "\\." pattern "${SKYEDGE_NCNN_SDIST}")
        if(wrong)
          string(APPEND tried "${shown}: ${wrong}; ")
        elseif(NOT text MATCHES "href *= *[\"']([^\"'#]*${pattern})")
          string(APPEND tried "${shown}: no ${SKYEDGE_NCNN_SDIST}; ")
        else()
          set(link "${CMAKE_MATCH_1}")  # each MATCHES below sets CMAKE_MATCH_1 anew
          if(link MATCHES "^/")
            string(REGEX MATCH "^[a-z]+://[^/]*" host "${index}")
            set(link "${host}${link}")
          elseif(NOT link MATCHES "^[a-z]+://")
            set(link "${page}${link}")
          endif()
          list(APPEND addresses "${link}")
        endif()
      endforeach()
    endif()
  endif()
  foreach(address IN LISTS addresses)
    string(REGEX REPLACE "^(https?://)([^/]*@)" "\\1" shown "${address}")
    set(wrong "")
    if(EXISTS "${address}")
      configure_file("${address}" "${file}.partial" COPYONLY)
    else()
      skyedge_download(wrong "${address}" "${file}.partial" "${certificates}")
    endif()
    if(NOT wrong)
      file(SHA256 "${file}.partial" digest)
      if(digest STREQUAL SKYEDGE_NCNN_SHA256)
        file(RENAME "${file}.partial" "${file}")
        return()
      endif()
      set(wrong "sha256 ${digest}, expected ${SKYEDGE_NCNN_SHA256}")
    endif()
    file(REMOVE "${file}.partial")
    string(APPEND tried "${shown}: ${wrong}; ")
  endforeach()
  message(FATAL_ERROR "\n  got no ${SKYEDGE_NCNN_SDIST} (${tried})\n"
    "  expected it in the cache, at SKYEDGE_NCNN_URL or on pip's index; give -DSKYEDGE_NCNN_URL=ADDRESS-OR-PATH of that file of PyPI, "
    "set PIP_INDEX_URL, put the file into ${SKYEDGE_CACHE}, or give an ncnn of your own by -Dncnn_DIR=DIR/lib/cmake/ncnn")
endfunction()

function(skyedge_get_ncnn out)
  set(flags ${SKYEDGE_NCNN_FLAGS})
  set(defines "")
  if(CMAKE_CROSSCOMPILING)
    set(compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} for ${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR}")
    if(DEFINED SKYEDGE_ZIG)  # Zig has no OpenMP runtime, and chooses the processor's instructions itself
      list(APPEND flags -DNCNN_OPENMP=OFF -DNCNN_RUNTIME_CPU=OFF -DNCNN_ARM82=OFF -DNCNN_AVX=OFF)
      set(defines "-DSKYEDGE_ZIG=${SKYEDGE_ZIG}")  # a path, which does not change the result
    endif()
    if(APPLE)  # Xcode brings none either
      list(APPEND flags -DNCNN_OPENMP=OFF)
    endif()
    set(names ANDROID_ABI ANDROID_PLATFORM ANDROID_STL PLATFORM DEPLOYMENT_TARGET SKYEDGE_ZIG_TARGET)
    set(toolchain "")
    if(CMAKE_TOOLCHAIN_FILE)
      list(APPEND defines "-DCMAKE_TOOLCHAIN_FILE=${CMAKE_TOOLCHAIN_FILE}")
      file(STRINGS "${CMAKE_TOOLCHAIN_FILE}" toolchain REGEX "^[^#]")
    else()
      list(APPEND names CMAKE_SYSTEM_NAME CMAKE_OSX_SYSROOT CMAKE_OSX_ARCHITECTURES CMAKE_OSX_DEPLOYMENT_TARGET)
    endif()
    list(APPEND defines -G "${CMAKE_GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}")  # the NDK's Ninja is on no PATH
    foreach(name IN LISTS names)
      if(DEFINED ${name})
        list(APPEND flags "-D${name}=${${name}}")
      endif()
    endforeach()
  else()  # by the machine's c++ whatever compiles our own code, so once for all
    execute_process(COMMAND c++ --version OUTPUT_VARIABLE version RESULT_VARIABLE code ERROR_QUIET)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "got no C++ compiler c++, expected one; install it with `make packages`")
    endif()
    string(REGEX MATCH "^[^\n]*" compiler "${version}")
    cmake_host_system_information(RESULT toolchain QUERY OS_PLATFORM)
  endif()
  string(SHA256 recipe "${compiler};${toolchain};${SKYEDGE_NCNN_LAYERS};${flags}")
  string(SUBSTRING "${recipe}" 0 12 recipe)
  string(SUBSTRING "${SKYEDGE_NCNN_SHA256}" 0 12 source)
  get_filename_component(cache "${SKYEDGE_CACHE}" REALPATH BASE_DIR "${CMAKE_BINARY_DIR}")
  set(install "${cache}/ncnn-${source}-${recipe}")
  set(${out} "${install}/lib/cmake/ncnn" PARENT_SCOPE)
  if(EXISTS "${install}")  # nobody waits for a build of something else
    return()
  endif()
  file(MAKE_DIRECTORY "${cache}")
  file(LOCK "${cache}/ncnn.lock" GUARD FUNCTION TIMEOUT 3600)  # two builds at once would do the same work twice
  if(EXISTS "${install}")
    return()
  endif()
  set(sdist "${cache}/${SKYEDGE_NCNN_SDIST}")
  if(EXISTS "${sdist}")
    file(SHA256 "${sdist}" digest)
  endif()
  if(NOT "${digest}" STREQUAL SKYEDGE_NCNN_SHA256)
    skyedge_find_sdist("${sdist}")
  endif()
  cmake_host_system_information(RESULT jobs QUERY NUMBER_OF_LOGICAL_CORES)
  message(STATUS "building ncnn with ${jobs} jobs, minutes once for every compiler; the log is ${install}.log")
  set(scratch "${install}.build")
  file(REMOVE_RECURSE "${scratch}" "${install}.partial")  # of a build that was killed
  file(ARCHIVE_EXTRACT INPUT "${sdist}" DESTINATION "${scratch}")
  string(REPLACE ".tar.gz" "" tree "${scratch}/${SKYEDGE_NCNN_SDIST}")
  file(STRINGS "${tree}/src/CMakeLists.txt" lines REGEX "^ncnn_add_layer\\(")
  string(REGEX REPLACE "ncnn_add_layer\\(([A-Za-z0-9_]+)[^;]*" "\\1" known "${lines}")
  set(off "")
  foreach(layer IN LISTS known)
    if(NOT layer IN_LIST SKYEDGE_NCNN_LAYERS)
      string(TOLOWER "${layer}" layer)
      list(APPEND off "-DWITH_LAYER_${layer}=OFF")
    endif()
  endforeach()
  set(absent ${SKYEDGE_NCNN_LAYERS})
  list(REMOVE_ITEM absent ${known})
  if(absent)
    message(FATAL_ERROR "ncnn ${SKYEDGE_NCNN_RELEASE} has no layer ${absent}, expected all; correct SKYEDGE_NCNN_LAYERS")
  endif()
  foreach(step IN ITEMS
      "-S;${tree};-B;${scratch}/b;-DCMAKE_INSTALL_PREFIX=${install}.partial;${flags};${off};${defines}"
      "--build;${scratch}/b;--parallel;${jobs}" "--install;${scratch}/b;--strip")
    # CMake offers its children the compiler of our own code.
    execute_process(COMMAND "${CMAKE_COMMAND}" -E env --unset=CC --unset=CXX "${CMAKE_COMMAND}" ${step}
      RESULT_VARIABLE code OUTPUT_FILE "${install}.log" ERROR_FILE "${install}.log")
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "ncnn does not build (exit ${code}); read ${install}.log, or give an ncnn of your own by -Dncnn_DIR=")
    endif()
  endforeach()
  file(RENAME "${install}.partial" "${install}")
  file(REMOVE_RECURSE "${scratch}" "${install}.log")
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
  skyedge_get_ncnn(folder)
  message(STATUS "${folder}")
endif()
