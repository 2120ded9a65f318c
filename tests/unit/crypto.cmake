# Signatures are checked with OpenSSL itself.
pkg_check_modules(TEST_LIBCRYPTO REQUIRED IMPORTED_TARGET libcrypto)
unit_test(crypto_bytes LAYER crypto)
unit_test(crypto LAYER crypto USES PkgConfig::TEST_LIBCRYPTO)
