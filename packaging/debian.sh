# Minimal Debian systems in folders, to be sourced; as root, with debootstrap.
#
#   debian_bootstrap ROOT RELEASE PACKAGE...    makes the system in ROOT, which is not there yet
#   debian_settle ROOT RELEASE [SUITE...]       its apt works as this machine's does; no services
#
# Packages come from where this machine's apt gets them, by its proxies and with its certificates.

# "URI suite component" of each package index, whatever the form of the sources' files.
apt_sources()
{
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        sort -u
}

# The Debian archive: the one that has the release here, or else one that has another.
debian_mirror()
{
    apt_sources | awk -v release="$1" '
        $2 == release && $3 == "main" { exact = $1 }
        $1 ~ /\/debian\/?$/ { other = $1 }
        END { print exact != "" ? exact : other }'
}

# The release itself, what this machine knows to go with it (updates, security), and more suites.
debian_sources_list()
{
    local mirror release=$1 suite
    mirror=$(debian_mirror "$release")
    echo "deb $mirror $release main"
    apt_sources | awk -v release="$release" '
        $3 == "main" && $2 ~ "^" release "-" { print "deb", $1, $2, "main" }'
    for suite in "${@:2}"; do
        echo "deb $mirror $suite main"
    done
}

# How to reach the archive: proxies, certificates, what may be out of date.
apt_settings()
{
    apt-config dump | grep -E '^Acquire::(https?|ftp|Check-|Retries|ForceIPv|By-Hash)' || true
    echo 'APT::Install-Recommends "false";'
}

proxy_environment()
{
    local scheme proxy
    for scheme in http https; do
        eval "$(apt-config shell proxy "Acquire::$scheme::Proxy")"
        [ -z "${proxy:-}" ] || [ "$proxy" = DIRECT ] || export "${scheme}_proxy=$proxy"
        proxy=''
    done
}

debian_bootstrap()
{
    local mirror root=$1 release=$2 packages=("${@:3}") include
    mirror=$(debian_mirror "$release")
    [ -n "$mirror" ] || {
        echo "this machine's apt knows no Debian archive" >&2
        return 1
    }
    case $mirror in https:*) packages+=(ca-certificates) ;; esac
    include=$(
        IFS=,
        echo "${packages[*]}"
    )
    proxy_environment
    debootstrap --variant=minbase ${include:+"--include=$include"} "$release" "$root" "$mirror"
    rm -f "$root"/var/cache/apt/archives/*.deb
}

debian_settle()
{
    local root=$1
    debian_sources_list "${@:2}" >"$root/etc/apt/sources.list"
    apt_settings >"$root/etc/apt/apt.conf.d/99host"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    if [ -d "$root/usr/share/ca-certificates" ] && [ -d /usr/local/share/ca-certificates ]; then
        cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
        cp -rL /etc/ssl/certs "$root/etc/ssl/"
    fi
    # No init runs in there: packages may not start their services.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
}
