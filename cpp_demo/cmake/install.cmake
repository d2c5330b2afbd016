# What `cmake --install` copies: libraries, headers, a CMake package, a pkg-config file, and ncnn where it was built here.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS ${libraries} EXPORT skyedge ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/skyedge" "${PROJECT_BINARY_DIR}/include/skyedge" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(TARGET skyedge)
  install(TARGETS skyedge RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/skyedge")
install(EXPORT skyedge NAMESPACE skyedge:: DESTINATION "${package}" FILE skyedgeTargets.cmake)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/skyedgeConfig.cmake.in" skyedgeConfig.cmake
  INSTALL_DESTINATION "${package}")
write_basic_package_version_file(skyedgeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/skyedgeConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/skyedgeConfigVersion.cmake"
  DESTINATION "${package}")
if(SKYEDGE_NCNN_BUILT)
  cmake_path(GET SKYEDGE_NCNN_BUILT PARENT_PATH ncnn_root)  # ROOT/lib/cmake/ncnn
  cmake_path(GET ncnn_root PARENT_PATH ncnn_root)
  cmake_path(GET ncnn_root PARENT_PATH ncnn_root)
  install(DIRECTORY "${ncnn_root}/lib/cmake/ncnn" DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake")
  install(DIRECTORY "${ncnn_root}/include/ncnn" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(FILES "${ncnn_root}/lib/libncnn.a" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
# Static linking without CMake: what libskyedge.a needs after it.
set(private_libraries "-lncnn -lpthread")
if(NCNN_OPENMP)
  string(APPEND private_libraries " -lgomp")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/skyedge.pc.in" skyedge.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/skyedge.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
