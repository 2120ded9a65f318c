# The packages: `cmake --workflow --preset deb` and `--preset rpm`, each on the kind of system that
# it is for, since names and versions of libraries are taken from there. What is in them is what
# Install.cmake installs, with prefix /usr.
set(CPACK_PACKAGE_NAME "owui-spoa")
set(CPACK_PACKAGE_VENDOR "owui-spoa")
set(CPACK_PACKAGE_CONTACT "owui-spoa maintainers <maintainers@owui-spoa.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "HAProxy agent that routes Open WebUI tenants")
set(CPACK_PACKAGE_DESCRIPTION
"HAProxy asks this stream processing offload agent, request by request, which
of many Open WebUI instances a request goes to and which headers it carries.
It also obtains certificates over ACME, renews them and swaps them into the
running HAProxy, without a reload.")
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(debian "${CMAKE_CURRENT_SOURCE_DIR}/packaging/deb")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# libcurl is loaded and not linked, which the tools that look for dependencies do not see.
set(CPACK_DEBIAN_PACKAGE_DEPENDS
    "libcurl4 (>= ${LIBCURL_VERSION}), init-system-helpers (>= 1.54~), systemd | systemd-standalone-sysusers | systemd-sysusers, systemd | systemd-standalone-tmpfiles | systemd-tmpfiles")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "haproxy (>= 2.6), ca-certificates, tzdata")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${debian}/postinst;${debian}/prerm;${debian}/postrm;${debian}/conffiles")

configure_file(packaging/rpm/changelog.in "${CMAKE_CURRENT_BINARY_DIR}/packaging/rpm.changelog" @ONLY)
set(rpm "${CMAKE_CURRENT_SOURCE_DIR}/packaging/rpm")
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_RELOCATABLE OFF)
set(CPACK_RPM_SPEC_MORE_DEFINE "%define _build_id_links none")
set(CPACK_RPM_PACKAGE_LICENSE "Apache-2.0")
set(CPACK_RPM_PACKAGE_GROUP "System Environment/Daemons")
set(CPACK_RPM_PACKAGE_DESCRIPTION "${CPACK_PACKAGE_DESCRIPTION}")
# By what is loaded, as rpm finds it for what is linked: libcurl-minimal has it too.
if(CMAKE_SIZEOF_VOID_P EQUAL 8)
    set(rpm_word_size "()(64bit)")
endif()
set(CPACK_RPM_PACKAGE_REQUIRES
    "systemd, libcurl.so.4${rpm_word_size}, libcurl >= ${LIBCURL_VERSION}")
set(CPACK_RPM_PACKAGE_REQUIRES_PRE "shadow-utils")
set(CPACK_RPM_PRE_INSTALL_SCRIPT_FILE "${rpm}/pre")
set(CPACK_RPM_POST_INSTALL_SCRIPT_FILE "${rpm}/post")
set(CPACK_RPM_PRE_UNINSTALL_SCRIPT_FILE "${rpm}/preun")
set(CPACK_RPM_POST_UNINSTALL_SCRIPT_FILE "${rpm}/postun")
set(CPACK_RPM_CHANGELOG_FILE "${CMAKE_CURRENT_BINARY_DIR}/packaging/rpm.changelog")
set(CPACK_RPM_USER_FILELIST
    "%config(noreplace) %attr(0640,root,owui-spoa) /etc/owui-spoa/owui-spoa.json"
    "%dir %attr(0750,root,owui-spoa) /etc/owui-spoa"
    "%dir %attr(2770,root,owui-spoa) /etc/owui-spoa/tenants.d")
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
    /etc /usr/lib/systemd /usr/lib/systemd/system /usr/lib/sysusers.d /usr/lib/tmpfiles.d
    /usr/share/bash-completion /usr/share/bash-completion/completions
    /usr/share/zsh /usr/share/zsh/site-functions /usr/share/zsh/vendor-completions
    /usr/share/fish /usr/share/fish/vendor_completions.d
    /usr/share/man /usr/share/man/man5 /usr/share/man/man8 /usr/share/doc)

if(NOT PACKAGE STREQUAL "")
    string(TOUPPER "${PACKAGE}" CPACK_GENERATOR)
endif()
include(CPack)
