#!/bin/sh
# Unpack the server's wheel into $2, and put what its models need into $2/site; $1 is the Python that they run in.
set -eu

"$1" -m pip download --quiet --disable-pip-version-check --no-deps --requirement wheel.txt
"$1" -c "import glob, sys, zipfile; zipfile.ZipFile(glob.glob('*.whl')[0]).extractall(sys.argv[1])" "$2"
chmod +x "$2"/pytriton/tritonserver/bin/tritonserver "$2"/pytriton/tritonserver/python_backend_stubs/*/*stub
"$1" -m pip install --quiet --disable-pip-version-check --target "$2/site" --requirement model.txt
