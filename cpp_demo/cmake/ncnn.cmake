# The target `ncnn`: the app's own, the one that ncnn_DIR names, an installed one of the pinned release or newer, or else
# the pinned one, which get_ncnn.cmake builds.
include("${CMAKE_CURRENT_LIST_DIR}/get_ncnn.cmake")
set(SKYEDGE_NCNN_BUILT "")  # where get_ncnn.cmake put it

# ncnn built by GCC asks for GCC's OpenMP, which Clang's CMake does not find.
macro(skyedge_offer_openmp)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT TARGET OpenMP::OpenMP_CXX)
    find_package(OpenMP QUIET COMPONENTS CXX)
    if(NOT TARGET OpenMP::OpenMP_CXX AND NOT CMAKE_CROSSCOMPILING)
      add_library(OpenMP::OpenMP_CXX INTERFACE IMPORTED)
      set_target_properties(OpenMP::OpenMP_CXX PROPERTIES INTERFACE_LINK_LIBRARIES gomp)
    endif()
  endif()
endmacro()

if(TARGET ncnn)
  return()
endif()
skyedge_offer_openmp()
if(ncnn_DIR)  # a path that was named is not looked for under a cross compiler's root
  include("${ncnn_DIR}/ncnnConfig.cmake")
  return()
endif()

# ncnn's packages carry no version file, so that any version asked for is refused, but the places looked at are listed.
set(ncnn_CONSIDERED_CONFIGS "")
if(NOT CMAKE_CROSSCOMPILING)  # what this machine has would be for this machine
  find_package(ncnn ${SKYEDGE_NCNN_RELEASE} CONFIG QUIET)
  unset(ncnn_DIR CACHE)
endif()
foreach(config IN LISTS ncnn_CONSIDERED_CONFIGS)
  file(STRINGS "${config}" release_line REGEX "^set\\(NCNN_VERSION ")
  string(REGEX MATCH "[0-9]+" release "${release_line}")
  if(release GREATER_EQUAL SKYEDGE_NCNN_RELEASE)
    include("${config}")
    return()
  endif()
  message(STATUS "${config}: ncnn ${release} is older than ${SKYEDGE_NCNN_RELEASE} and not used")
endforeach()

if(EXISTS "${PROJECT_SOURCE_DIR}/../pyproject.toml" AND CMAKE_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR)
  set(cache "${PROJECT_SOURCE_DIR}/../.cache")
else()
  set(cache "${CMAKE_BINARY_DIR}/_skyedge")
endif()
set(SKYEDGE_CACHE "${cache}" CACHE PATH "Keeps ncnn's source and library")
set(SKYEDGE_NCNN_URL "" CACHE STRING "Address or path of ncnn's sdist; empty: where get_ncnn.cmake finds it")
skyedge_get_ncnn(SKYEDGE_NCNN_BUILT)
include("${SKYEDGE_NCNN_BUILT}/ncnnConfig.cmake")
