/* How configurations are changed: a string for another, so that the text stays JSON. */
#include "fuzz/fuzz.h"

static const char *const WORDS[] = {
    "schema",
    "listen",
    "loops",
    "log",
    "level",
    "trusted_proxies",
    "cidrs",
    "client_ip_header",
    "upstream_allow",
    "unknown_host",
    "action",
    "status",
    "to",
    "tenant",
    "strip_headers",
    "headers",
    "defaults",
    "resolver",
    "interval",
    "haproxy",
    "http",
    "https",
    "runtime",
    "agents",
    "crt_dir",
    "chroot",
    "user",
    "backends",
    "servers",
    "check",
    "acme",
    "challenge_listen",
    "tenants",
    "hosts",
    "paths",
    "host",
    "prefix",
    "mode",
    "only",
    "upstream",
    "upstream_tls",
    "server_name",
    "verify",
    "backend",
    "label",
    "redirect",
    "strip",
    "keep",
    "off",
    "deny",
    "a.test",
    "*.a.test",
    "*.*.test",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "::/0",
    "fd00::1",
    "http://h:80",
    "https://10.0.0.1",
    "http://{1}.i:80",
    "https://[::1]:1",
    "http://10.0.0.{1}",
    "/a/",
    "/a/b",
    "/",
    "//",
    "/..",
    "/%2e",
    "X-A",
    "Host",
    "{label}",
    "{client_ip}{tenant}",
    "{{",
    "{",
    "*:80",
    "tcp:1",
    "unix:@a",
    "unix:/var/lib/haproxy/a",
    "master:/run/m",
    "systemd:x",
    "30s",
    "1d",
    "999999999d",
    "0660",
    "big",
    "[a-z]+",
    "(",
    "// comment",
    "_",
    "",
    "\\u0000",
    "\\n",
    "\\u001b[2J",
    "\\\"",
    "a b",
    "$HOME",
    "mailto:a@b",
    "{1}",
    "localhost",
    "http://localhost:80",
    "origins",
    "origin_check",
    "allow_ips",
    "refuse_scanners",
    "routes",
    "match",
    "not_ip",
    "credential",
    "api_key",
    "limits",
    "timeouts",
    "max_body",
    "requests_per_10s",
    "100MB",
    "https://a.test",
    "/api/",
    "127.1",
    "0x7f.1",
};

static bool find_string(const uint8_t *data, size_t size, size_t from, size_t *start, size_t *end)
{
    size_t i = from;
    while (i < size && data[i] != '"')
        i++;
    *start = ++i;
    while (i < size && data[i] != '"')
        i += data[i] == '\\' ? 2 : 1;
    *end = i;
    return i < size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size_t start, end;
    if (seed % 4 == 0 || size == 0 || !find_string(data, size, (seed / 4) % size, &start, &end))
        return LLVMFuzzerMutate(data, size, max_size);
    struct slice word = slice_of(WORDS[seed / 64 % COUNT_OF(WORDS)]);
    if (size - (end - start) + word.size > max_size)
        return LLVMFuzzerMutate(data, size, max_size);
    memmove(data + start + word.size, data + end, size - end);
    memcpy(data + start, word.data, word.size);
    return size - (end - start) + word.size;
}
