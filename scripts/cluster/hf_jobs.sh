#!/bin/bash
# Train on Hugging Face Jobs, on one machine. Runs are kept in a bucket of the Hub, from which the same command continues.
#
#   hf buckets create user/smoke-runs
#   SMOKE_VQ=git+https://github.com/OWNER/REPOSITORY@COMMIT \
#       bash scripts/cluster/hf_jobs.sh user/smoke-runs vqvae --config vqvae --run-name my_vqvae --checkpointing-steps 500
#
# The words after the bucket are those of `smoke-vq train`. DRY_RUN=1 shows the job without starting it.
set -euo pipefail
bucket=${1:?expected the name of a bucket, such as user/smoke-runs}
shift
: "${SMOKE_VQ:?expected what pip installs, such as git+https://github.com/OWNER/REPOSITORY@COMMIT}"

upload() {
    hf buckets sync runs "hf://buckets/$BUCKET" --delete --exclude "*.partial/*" || echo "The upload failed: see above."
}

job() {
    pip install --quiet "$SMOKE_VQ" || exit 1
    hf buckets sync "hf://buckets/$BUCKET" runs || exit 1
    # An upload that was cut off: the run continues from the checkpoint before it.
    for checkpoint in runs/*/checkpoints/checkpoint-????????; do
        [ ! -d "$checkpoint" ] || smoke-vq verify "$checkpoint" || mv "$checkpoint" "$checkpoint.cut-off"
    done
    torchrun --standalone --nproc-per-node auto \
        -m smoke_vq train "$@" --output-dir runs --resume-from-checkpoint latest &
    training=$!
    trap 'kill -TERM $training' TERM
    while kill -0 $training 2> /dev/null; do
        sleep "$UPLOAD_SECONDS" &
        wait -n
        upload
    done
    wait $training
    status=$?
    upload
    exit $status
}

hf jobs run ${DRY_RUN:+--dry-run} --detach --name smoke-vq \
    --flavor "${FLAVOR:-a100x4}" --timeout "${TIMEOUT:-24h}" --attempts "${ATTEMPTS:-3}" \
    --secrets HF_TOKEN \
    --env "BUCKET=$bucket" --env "SMOKE_VQ=$SMOKE_VQ" --env "UPLOAD_SECONDS=${UPLOAD_SECONDS:-300}" \
    "${IMAGE:-python:3.12}" \
    bash -c "$(declare -f upload job); job \"\$@\"" train "$@"
