#!/bin/sh
# newer.sh FOLDER: what the cooperative matrices need and Debian 12 lacks: a glslc that knows GL_KHR_cooperative_matrix, and a Mesa whose
# software driver (lavapipe) has the extension. Both come, with all their libraries, from a newer suite of the same Debian mirror
# (SUITE, default forky; MIRROR, default http://deb.debian.org/debian) into FOLDER, where they disturb nothing: no package is installed.
# About 450 MB of disk, 1 minute. Needs apt-get and dpkg, no root. Then
#
#   GLSLC_MATRIX=FOLDER/bin/glslc go generate ./shaders               compiles the shaders matrix_*.comp
#   GLSLC_MATRIX=FOLDER/bin/glslc go test ./shaders                   compiles them again and compares
#   go test -exec FOLDER/bin/with ./backend/vulkan                    runs the tests on that lavapipe
#   FOLDER/bin/with ./bin/ddpm-tui devices --check                    runs any program on it
set -eu
[ $# = 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
to=$(cd "$1" && pwd)
suite=${SUITE:-forky}
mirror=${MIRROR:-http://deb.debian.org/debian}
keys=/usr/share/keyrings/debian-archive-keyring.gpg

apt=$to/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/preferences.d" "$to/bin"
: >"$apt/status"
echo "deb [signed-by=$keys] $mirror $suite main" >"$apt/sources.list"
get() {
	apt-get -qq -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
		-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -o APT::Install-Recommends=0 "$@"
}
get update
get --download-only -y install glslc spirv-tools libvulkan1 mesa-vulkan-drivers vulkan-validationlayers libstdc++6 zlib1g
for deb in "$apt"/cache/archives/*.deb; do
	dpkg -x "$deb" "$to/root"
done
rm -r "$apt/cache/archives"

libs=
for d in $(find "$to/root/usr/lib" -name '*.so*' -type f -o -name '*.so*' -type l | xargs -n1 dirname | sort -u); do
	case $d in */usr/lib/*-linux-gnu) libs=$d:$libs ;; */gconv | */dri | */layers*) ;; *) libs=$libs$d: ;; esac
done
ld=$(find "$to/root" -name 'ld-linux*.so*' | head -n 1)
icd=$(find "$to/root" -name 'lvp_icd*.json' | head -n 1)
layers=$(dirname "$(find "$to/root" -name 'VkLayer_khronos_validation.json' | head -n 1)")
# The JSON files name their libraries by full path or by name; the name is found by the library path.
find "$to/root/usr/share/vulkan" -name '*.json' -exec sed -i 's|"library_path": *"[^"]*/\([^/"]*\)"|"library_path": "\1"|' {} +
cat >"$to/bin/with" <<EOF
#!/bin/sh
# with PROGRAM ARGS: runs a program on the private lavapipe, under the private C library. A script of Go's test runs through it as well.
program=\$(command -v "\$1") || { echo "with: \$1 is not there" >&2; exit 127; }
shift
export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd VK_LAYER_PATH=$layers
exec $ld --library-path ${libs%:} "\$program" "\$@"
EOF
for tool in glslc spirv-val spirv-dis; do
	printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$ld" "${libs%:}" "$to/root/usr/bin/$tool" >"$to/bin/$tool"
done
chmod +x "$to"/bin/*
"$to/bin/glslc" --version | head -n 3
