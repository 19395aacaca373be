#!/bin/sh
# A program for the rotator "exec", whose issuer is a folder with a file for each key: its name, the key, whether it is enabled.
# JSON without a parser: everything here is of one line and has no quotation marks in it.
cd "$1" || exit 78
IFS= read -r asked
field() {
  rest=${asked#*\"$1\":\"}
  printf %s "${rest%%\"*}"
}
id=$(field id) token=$(field token)
load() { { read -r name; read -r key; read -r enabled; } <"$1"; }
keep() { printf '%s\n%s\n%s\n' "$name" "$key" "$1" >.new && mv .new "$id"; }
random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

case $(field operation) in
check) ;;
list)
  printf '{"credentials":['
  comma=
  for file in *; do
    load "$file"
    printf '%s{"id":"%s","name":"%s","enabled":%s}' "$comma" "$file" "$name" "$enabled"
    comma=,
  done
  printf ']}'
  ;;
create)
  id=$(random) key=$(random) name=$(field name)
  keep true
  printf '{"id":"%s","parts":{"token":"%s"}}' "$id" "$key"
  ;;
verify)
  works=false
  for file in *; do
    load "$file"
    [ "$key" = "$token" ] && works=$enabled
  done
  printf '{"works":%s}' "$works"
  ;;
disable | enable)
  [ -f "$id" ] || exit 0
  load "$id"
  [ "$(field operation)" = enable ] && keep true || keep false
  ;;
revoke) rm -f "$id" ;;
adopt)
  for file in *; do
    load "$file"
    [ "$key" = "$token" ] && printf '{"id":"%s","parts":{"token":"%s"}}' "$file" "$key"
  done
  ;;
esac
exit 0
