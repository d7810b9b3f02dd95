#!/bin/bash
# The docker_start_infer.sh of GhostNet for PyTorch: same two arguments, messages, devices and volumes.
# DEVICES="1 2" in the environment mounts other chips than 0; DOCKER=podman takes another program.
docker_image=$1
model_dir=$2

if [ -z "${docker_image}" ]; then
    echo "please input docker_image"
    exit 1
fi
if [ ! -d "${model_dir}" ]; then
    echo "please input model_dir"
    exit 1
fi
model_dir=$(cd -- "${model_dir}" && pwd) # -v takes a name without a slash for a volume of its own
case ${model_dir} in
*:*)
    echo "please input model_dir without a colon, which ends a path for docker: ${model_dir}"
    exit 1
    ;;
esac

chips=()
for number in ${DEVICES:-0}; do
    chips+=("--device=/dev/davinci${number}")
done
exec "${DOCKER:-docker}" run -it \
    "${chips[@]}" \
    --device=/dev/davinci_manager \
    --device=/dev/devmm_svm \
    --device=/dev/hisi_hdc \
    -v /usr/local/Ascend/driver:/usr/local/Ascend/driver \
    -v "${model_dir}:${model_dir}" \
    "${docker_image}" \
    /bin/bash
