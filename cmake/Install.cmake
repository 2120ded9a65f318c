# What `cmake --install` puts where. A daemon ships no headers and no library.
#
# The unit, the user and the folders go where systemd looks for them below the prefix; a packager
# who wants them elsewhere sets SYSTEMD_UNIT_DIR, SYSUSERS_DIR and TMPFILES_DIR.
set(SYSTEMD_UNIT_DIR "lib/systemd/system" CACHE STRING "where unit files go, below the prefix")
set(SYSUSERS_DIR "lib/sysusers.d" CACHE STRING "where sysusers.d files go, below the prefix")
set(TMPFILES_DIR "lib/tmpfiles.d" CACHE STRING "where tmpfiles.d files go, below the prefix")
set(ZSH_COMPLETIONS_DIR "share/zsh/site-functions" CACHE STRING "where zsh looks, below the prefix")
set(PACKAGE "" CACHE STRING "the kind of package that is made: deb, rpm or none")

if(TARGET owui-spoa)
    install(TARGETS owui-spoa RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

configure_file(packaging/systemd/owui-spoa.service.in
               "${CMAKE_CURRENT_BINARY_DIR}/packaging/owui-spoa.service" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/packaging/owui-spoa.service"
              packaging/systemd/owui-spoa.socket
        DESTINATION "${SYSTEMD_UNIT_DIR}")
install(FILES packaging/systemd/owui-spoa.sysusers.conf
        DESTINATION "${SYSUSERS_DIR}" RENAME owui-spoa.conf)
install(FILES packaging/systemd/owui-spoa.tmpfiles.conf
        DESTINATION "${TMPFILES_DIR}" RENAME owui-spoa.conf)
# The changelogs' day: reproducible builds set SOURCE_DATE_EPOCH.
string(TIMESTAMP package_date_debian "%a, %d %b %Y %H:%M:%S +0000" UTC)
string(TIMESTAMP package_date_rpm "%a %b %d %Y" UTC)
# As they lie in the sources, so that what they say of each other is there.
set(readme README.md)
if(PACKAGE STREQUAL "deb")
    include(Debian)
else()
    install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
endif()
install(FILES "${readme}" NEWS.md SECURITY.md CONTRIBUTING.md
        DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(FILES docs/ADMIN.md docs/ARCHITECTURE.md docs/CONFIGURATION.md docs/HAPROXY-MANAGER.md
              docs/METRICS.md docs/PRODUCTION.md docs/PROOF.md docs/openapi.json
        DESTINATION "${CMAKE_INSTALL_DOCDIR}/docs")
install(DIRECTORY docs/images DESTINATION "${CMAKE_INSTALL_DOCDIR}/docs" FILES_MATCHING
        PATTERN "*.png" PATTERN "*.svg")
install(FILES haproxy/haproxy.cfg haproxy/owui.spoe.cfg
        DESTINATION "${CMAKE_INSTALL_DOCDIR}/haproxy")
install(FILES docs/schema/owui-spoa.schema.json docs/schema/tenants.schema.json
        DESTINATION "${CMAKE_INSTALL_DATADIR}/owui-spoa")
install(FILES packaging/grafana/owui-spoa.json
        DESTINATION "${CMAKE_INSTALL_DATADIR}/owui-spoa/grafana")
install(FILES packaging/prometheus/owui-spoa.rules.yml
        DESTINATION "${CMAKE_INSTALL_DATADIR}/owui-spoa/prometheus")

# Whatever the prefix: this is where the program looks. A file that is there already is the admin's.
configure_file(packaging/config/owui-spoa.json.in
               "${CMAKE_CURRENT_BINARY_DIR}/packaging/owui-spoa.json" @ONLY)
install(DIRECTORY DESTINATION "/etc/owui-spoa/tenants.d")
install(CODE "
    if(NOT EXISTS \"\$ENV{DESTDIR}/etc/owui-spoa/owui-spoa.json\")
        file(INSTALL \"${CMAKE_CURRENT_BINARY_DIR}/packaging/owui-spoa.json\"
             DESTINATION \"/etc/owui-spoa\")
    endif()")
