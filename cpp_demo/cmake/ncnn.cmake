# The target `ncnn`: an installed one of the pinned release or newer, else the pinned one, which get_ncnn.py builds.
set(SKYEDGE_NCNN_RELEASE 20261020)

# ncnn's packages carry no version file, so that any version asked for is refused, but the places looked at are listed.
set(installed "")
set(ncnn_CONSIDERED_CONFIGS "")
if(NOT CMAKE_CROSSCOMPILING)  # what this machine has would be for this machine
  find_package(ncnn ${SKYEDGE_NCNN_RELEASE} CONFIG QUIET)
endif()
foreach(config IN LISTS ncnn_CONSIDERED_CONFIGS)
  file(STRINGS "${config}" release_line REGEX "^set\\(NCNN_VERSION ")
  string(REGEX MATCH "[0-9]+" release "${release_line}")
  if(release GREATER_EQUAL SKYEDGE_NCNN_RELEASE)
    get_filename_component(installed "${config}" DIRECTORY)
    break()
  endif()
  message(STATUS "${config}: ncnn ${release} is older than ${SKYEDGE_NCNN_RELEASE} and not used")
endforeach()

if(installed)
  find_package(ncnn CONFIG REQUIRED PATHS "${installed}" NO_DEFAULT_PATH)
else()
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
  set(cross "")
  if(CMAKE_CROSSCOMPILING)
    set(cross --toolchain "${CMAKE_TOOLCHAIN_FILE}")
  endif()
  set(compiler "")
  if(SKYEDGE_FUZZ)  # CMake tells get_ncnn.py that the compiler is Clang, but ncnn has no part in this: GCC's build will do
    set(compiler "${CMAKE_COMMAND}" -E env --unset=CC --unset=CXX)
  endif()
  execute_process(
    COMMAND ${compiler} "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/tools/get_ncnn.py" ${cross}
    OUTPUT_VARIABLE built OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "get_ncnn.py failed (exit ${code}); its message is above")
  endif()
  find_package(ncnn CONFIG REQUIRED PATHS "${built}" NO_DEFAULT_PATH)
  unset(ncnn_DIR CACHE)  # the next run asks get_ncnn.py again, which answers at once or has a new recipe
endif()
