#!/bin/bash
# The run_train.sh of ModelArts' images: CODE_URL BOOT_FILE LOG_FILE ARGUMENTS...
# Fetches the code folder, runs its boot file with the arguments, and keeps what it says in LOG_FILE; the
# exit status is the boot file's, or 127 where the code cannot be fetched.
# In the environment: JOB_DIR (where the code goes), LOG_URL (where the log goes, too), PYTHON.
if [ $# -lt 3 ]; then
    echo "Usage: bash $0 'obs://BUCKET/CODE' 'CODE/boot.py' LOG_FILE [ARGUMENTS]..."
    exit 2
fi
code_url=${1%/}
boot_file=$2
log_file=$3
shift 3
job_dir=${JOB_DIR:-$HOME/user-job-dir}
python=${PYTHON:-python3}

mkdir -p "${job_dir}" "$(dirname "${log_file}")" || exit 127
job_dir=$(cd -- "${job_dir}" && pwd)
log_file=$(cd -- "$(dirname -- "${log_file}")" && pwd)/$(basename -- "${log_file}")
"${python}" -m ghostkit stage "${code_url}" "${job_dir}/${code_url##*/}" 2>&1 | tee "${log_file}"
if [ "${PIPESTATUS[0]}" -ne 0 ]; then
    echo "the code at ${code_url} cannot be fetched" | tee -a "${log_file}"
    exit 127
fi
cd "${job_dir}" || exit 127
# Beside this shell, which would neither pass a signal on to it nor, as a container's first process, obey one.
exec 3> >(tee -a "${log_file}")
tee=$!
"${python}" "${job_dir}/${boot_file}" "$@" >&3 2>&3 3>&- &
boot=$!
exec 3>&-
trap 'kill -TERM "${boot}"' TERM
trap 'kill -INT "${boot}"' INT
wait "${boot}"
status=$?
while kill -0 "${boot}" 2> /dev/null; do  # the wait was ended by a signal, not by the program
    wait "${boot}"
    status=$?
done
wait "${tee}"
if [ -n "${LOG_URL}" ]; then
    "${python}" -m ghostkit stage "${log_file}" "${LOG_URL%/}/$(basename "${log_file}")"
fi
exit "${status}"
