# Sourced by what needs Debian packages: one way to install them, and to say the command where that is not possible.

root=()

# Whether this user may install. Says nothing.
may_install() {
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" -ne 0 ]; then
    { command -v sudo >/dev/null && sudo -n true 2>/dev/null; } || return 1
    root=(sudo -n)
  fi
}

# Installs packages when this user may; otherwise says nothing and fails.
install_packages() {
  may_install || return 1
  local get=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
  # What a package starts must not keep the lock of `one_at_a_time`.
  "${get[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 9>&- ||
    { "${get[@]}" update >/dev/null 2>&1 9>&- &&
      "${get[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 9>&-; }
}

# Tests run side by side: from here on one installs, the others wait and find it done.
one_at_a_time() {
  exec 9>"${TMPDIR:-/tmp}/rco-install-$(id -u).lock"
  flock 9
}
