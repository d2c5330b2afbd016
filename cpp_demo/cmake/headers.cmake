# Header libraries, the same for every machine, in a folder of links: under a cross compiler the rest of the host's
# /usr/include must not be seen. skyedge_header(NAME DIR) adds DIR/NAME to it.
set(SKYEDGE_HEADERS "${CMAKE_CURRENT_BINARY_DIR}/headers")
file(MAKE_DIRECTORY "${SKYEDGE_HEADERS}")
function(skyedge_header name folder)
  file(CREATE_LINK "${folder}/${name}" "${SKYEDGE_HEADERS}/${name}" SYMBOLIC)
endfunction()

find_path(NLOHMANN_INCLUDE_DIR nlohmann/json.hpp NO_CMAKE_FIND_ROOT_PATH PATHS /usr/include)
if(NOT NLOHMANN_INCLUDE_DIR)
  include(FetchContent)
  FetchContent_Declare(skyedge_nlohmann URL https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
    URL_HASH SHA256=d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d SOURCE_SUBDIR include)
  FetchContent_MakeAvailable(skyedge_nlohmann)  # its folder include/ has no project: only the files are wanted
  set(NLOHMANN_INCLUDE_DIR "${skyedge_nlohmann_SOURCE_DIR}/include" CACHE PATH "Folder of nlohmann/json.hpp" FORCE)
endif()
skyedge_header(nlohmann "${NLOHMANN_INCLUDE_DIR}")
