# shellcheck shell=bash
# Sourced by install.sh: the systemd user service, its socket, and the running daemon.
# shellcheck disable=SC2034,SC2154

unit_dir=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
unit=$unit_dir/gimp-colorize.service
socket_unit=$unit_dir/gimp-colorize.socket
drop_in=$unit.d/no-namespaces.conf
longest_socket_path=107

# As colorize_client/paths.py has it: in the home that the system knows, whatever HOME says; else in /tmp.
usual_state_dir() { printf '%s/.local/state/gimp-colorize\n' "$(getent passwd "$(id -u)" | cut -d : -f 6)"; }
state_dirs() { printf '%s\n' "$state_dir" "/tmp/gimp-colorize-$(id -u)"; }

# A session that this shell does not know of (after ssh without PAM, or su) is found at its usual place.
reach_user_session() {
  local runtime
  runtime=/run/user/$(id -u)
  if [ -z "${XDG_RUNTIME_DIR:-}" ] && [ -S "$runtime/bus" ]; then export XDG_RUNTIME_DIR=$runtime; fi
}

has_user_session() { [ -d /run/systemd/system ] && systemctl --user show-environment > /dev/null 2>&1; }

# Why there can be no service here; status 1 and no word if there can.
service_obstacle() {
  if [ "$service" = no ]; then echo "as asked with --no-service"; return; fi
  if ! command -v systemctl > /dev/null || [ ! -d /run/systemd/system ]; then
    echo "this system does not run systemd"
    return
  fi
  if ! has_user_session; then
    echo "systemd has no session for $(id -un): log in as $(id -un) (not with su or sudo) and run install.sh again"
    return
  fi
  if [ "$state_dir" != "$(usual_state_dir)" ]; then echo "GIMP_COLORIZE_STATE is set to $state_dir"; return; fi
  if [ "$(printf '%s' "$state_dir/service.sock" | wc -c)" -gt "$longest_socket_path" ]; then
    echo "the name of the home folder is too long for a socket in it"
    return
  fi
  return 1
}

# A path as one word of a unit's ExecStart.
unit_word() { printf '"%s"' "$(printf '%s' "$1" | sed -e 's/[\\"]/\\&/g' -e 's/%/%%/g' -e 's/\$/$$/g')"; }

# systemd loses a listening socket at the next daemon-reload when its path has letters that it escapes (seen in 252).
# In such a home the service runs from login on and opens its socket by itself.
starts_on_demand() (
  LC_ALL=C
  ! [[ $state_dir == *[!\ -~]* || $state_dir == *[\'\"\\]* ]]
)

service_text() {
  local line
  while IFS= read -r line; do
    if [[ $line == *=gimp-colorize.socket ]] && ! starts_on_demand; then continue; fi
    printf '%s\n' "${line//@DAEMON@/$(unit_word "$prefix/current/bin/gimp-colorize-daemon")}"
  done < "$source_dir/daemon/systemd/gimp-colorize.service"
}

namespaces_are_allowed() {
  systemd-run --user --quiet --wait --collect -p PrivateUsers=yes -p ProtectSystem=strict -p PrivateTmp=yes \
    -p PrivateNetwork=yes true > /dev/null 2>&1
}

write_units() { # status 10: something changed
  local changed=0
  make_folder "$unit_dir"
  service_text | put_file "$unit" || changed=$?
  if starts_on_demand; then
    put_file "$socket_unit" < "$source_dir/daemon/systemd/gimp-colorize.socket" || changed=$?
  fi
  if namespaces_are_allowed; then
    if [ -e "$drop_in" ]; then rm -- "$drop_in"; changed=10; fi
  else
    say "Service: this system forbids namespaces to users, so the service runs without a file system of its own"
    make_folder "$unit.d"
    put_file "$drop_in" < "$source_dir/daemon/systemd/no-namespaces.conf" || changed=$?
  fi
  return "$changed"
}

started_unit() { if starts_on_demand; then echo gimp-colorize.socket; else echo gimp-colorize.service; fi; }

start_service() {
  local started
  started=$(started_unit)
  systemctl --user reset-failed gimp-colorize.service 2> /dev/null || true
  systemctl --user --quiet is-enabled "$started" > /dev/null || systemctl --user --quiet enable "$started"
  systemctl --user start "$started" || die "systemd could not start $started. It says why: systemctl --user status $started"
  if starts_on_demand; then
    say "Service: gimp-colorize.socket listens at $(shown "$state_dir/service.sock") and starts the program on demand"
  else
    say "Service: gimp-colorize.service runs, now and from every login on"
  fi
}

install_service() {
  local obstacle changed=0
  make_folder "$state_dir"
  chmod 700 "$state_dir"
  if obstacle=$(service_obstacle); then
    if [ "$service" = no ]; then remove_service; fi
    say "Service: none installed ($obstacle). The plug-in and gimp-colorize start the program when they need it."
    if [ "$environment_changed" = yes ]; then stop_daemon; fi
    return
  fi
  write_units || changed=$?
  if [ "$changed" -ne 0 ] && [ "$changed" -ne 10 ]; then die "could not write the units into $(shown "$unit_dir")"; fi
  if [ "$changed" -eq 10 ] || [ "$environment_changed" = yes ]; then
    systemctl --user daemon-reload
    systemctl --user stop gimp-colorize.socket gimp-colorize.service 2> /dev/null || true
    stop_daemon  # one that a client started holds the place
  fi
  start_service
}

check_service() {
  local obstacle
  if obstacle=$(service_obstacle); then
    say "Service: none ($obstacle)"
    return 0
  fi
  if ! cmp -s -- "$unit" <(service_text) ||
    { starts_on_demand && ! cmp -s -- "$socket_unit" "$source_dir/daemon/systemd/gimp-colorize.socket"; }; then
    say "missing or out of date: the service's units in $(shown "$unit_dir")"
    return 1
  fi
  if ! systemctl --user --quiet is-active "$(started_unit)"; then
    say "not running: $(started_unit) (systemctl --user status $(started_unit) tells more)"
    return 1
  fi
}

remove_service() {
  if [ ! -e "$unit" ] && [ ! -e "$socket_unit" ]; then return; fi
  if has_user_session; then
    systemctl --user --quiet disable --now gimp-colorize.socket gimp-colorize.service 2> /dev/null || true
  fi
  rm -f -- "$unit" "$socket_unit" "$drop_in" "$unit_dir/sockets.target.wants/gimp-colorize.socket" \
    "$unit_dir/default.target.wants/gimp-colorize.service"
  rmdir -- "$unit.d" "$unit_dir"/{sockets,default}.target.wants 2> /dev/null || true
  if has_user_session; then systemctl --user daemon-reload; fi
}

daemon_pid() { # STATE-FOLDER; prints the number of a daemon that runs there
  local pid
  pid=$(sed -nE 's/.*"pid": *([0-9]+).*/\1/p' "$1/connection.json" 2> /dev/null) || return 1
  [ -n "$pid" ] && grep -q colorize "/proc/$pid/cmdline" 2> /dev/null && printf '%s\n' "$pid"
}

stop_daemon() {
  local folder pid waited
  while IFS= read -r folder; do
    pid=$(daemon_pid "$folder") || continue
    kill -TERM "$pid" 2> /dev/null || continue
    for ((waited = 0; waited < 100; waited++)); do
      kill -0 "$pid" 2> /dev/null || continue 2
      sleep 0.1
    done
    kill -KILL "$pid" 2> /dev/null || true
  done < <(state_dirs)
}

remove_state() {
  local folder
  while IFS= read -r folder; do
    if [ ! -d "$folder" ] || [ ! -O "$folder" ]; then continue; fi
    rm -rf -- "$folder/cuda"
    rm -f -- "$folder"/{service.sock,service.lock,launch.lock,launch.log,connection.json} "$folder"/connection.???????? \
      "$folder"/daemon.log*
    rmdir --ignore-fail-on-non-empty -- "$folder"
  done < <(state_dirs)
}
