include(CMakePackageConfigHelpers)
install(EXPORT sdskitTargets NAMESPACE sds:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sdskit)
configure_package_config_file(cmake/sdskitConfig.cmake.in ${PROJECT_BINARY_DIR}/sdskitConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sdskit)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sdskitConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/sdskitConfig.cmake ${PROJECT_BINARY_DIR}/sdskitConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sdskit)
install(FILES README.md LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
