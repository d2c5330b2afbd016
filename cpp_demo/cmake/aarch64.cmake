# Toolchain file for 64-bit Arm Linux with Debian's cross compiler (g++-aarch64-linux-gnu); Android runs the result too:
#   cmake -S cpp_demo -B build/aarch64 -DCMAKE_TOOLCHAIN_FILE=cpp_demo/cmake/aarch64.cmake
# One static binary of the base instruction set (Armv8.0); ncnn picks its faster kernels when the program starts.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
