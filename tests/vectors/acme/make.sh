#!/bin/sh
# Makes the certificates of this folder anew: a root, two intermediates (the second is a stranger), a
# leaf with the key id and the serial number of RFC 9773 section 4.1, and one without a key id.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
}
# sign NAME SUBJECT ISSUER SERIAL EXTENSIONS
sign() {
    [ -e "$1.key" ] || key "$work/$1.key"
    own=$([ -e "$1.key" ] && echo "$1.key" || echo "$work/$1.key")
    openssl req -new -key "$own" -subj "$2" -out "$work/$1.csr"
    printf '%s\n' "$5" >"$work/$1.ext"
    if [ "$3" = self ]; then
        openssl x509 -req -in "$work/$1.csr" -signkey "$own" -set_serial "$4" -days 36500 \
            -extfile "$work/$1.ext" -out "$1.pem" 2>/dev/null
    else
        openssl x509 -req -in "$work/$1.csr" -CA "$3.pem" -CAkey "$work/$3.key" -set_serial "$4" \
            -days 36500 -extfile "$work/$1.ext" -out "$1.pem" 2>/dev/null
    fi
}

ca='basicConstraints=critical,CA:TRUE
keyUsage=keyCertSign'
key leaf.key
sign root "/CN=Vector Root" self 1 "$ca"
sign intermediate "/CN=Vector Intermediate" root 2 "$ca
subjectKeyIdentifier=69885B6B87464041E1B37B847BA0AE2CDE01C8D4"
sign stranger "/O=Stranger" self 3 "$ca"
sign leaf "/" intermediate 0x87654321 \
    "subjectAltName=DNS:Chat.Example.test,DNS:*.example.test,IP:192.0.2.7,email:a@example.test
authorityKeyIdentifier=keyid"
cp leaf.key plain.key
sign plain "/CN=plain" intermediate 0x0102 "subjectAltName=DNS:plain.example.test
authorityKeyIdentifier=none
subjectKeyIdentifier=none"
rm plain.key
