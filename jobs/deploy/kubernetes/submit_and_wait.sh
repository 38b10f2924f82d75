#!/bin/sh
# Creates the RayJob of this night and waits until it has ended. Its name is that of the Job, so a pod that is started
# again goes on waiting for the same RayJob. Deleting the Job does not stop it; `kubectl delete rayjob NAME` does.
#
# Exit codes: 0 the RayJob has succeeded; 3 it has failed, was stopped or deleted; any other: the pod is to be started
# again.
set -eu

name=${JOB_NAME:?the name of the Job}
template=${TEMPLATE:-/etc/xlmr-nightly/rayjob.yaml}
poll_s=${POLL_S:-15}

found() {
    kubectl get rayjob "$name" --ignore-not-found -o name
}

if [ -z "$(found)" ]; then
    sed "s/^  name: xlmr-nightly\$/  name: $name/" "$template" | kubectl create -f -
fi

before=
while :; do
    # Empty once it is deleted; an API server that does not answer is asked again.
    if status=$(kubectl get rayjob "$name" --ignore-not-found \
        -o 'jsonpath={.status.jobDeploymentStatus} {.status.jobStatus} ({.status.message})'); then
        if [ "$status" != "$before" ]; then
            echo "rayjob $name: ${status:-deleted}"
            before=$status
        fi
        case $status in
            "Complete SUCCEEDED "*) exit 0 ;;
            "" | "Complete "* | "Failed "* | "ValidationFailed "*) exit 3 ;;
        esac
    fi
    sleep "$poll_s"
done
