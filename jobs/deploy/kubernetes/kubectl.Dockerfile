# The image of the nightly Job: kubectl, and a shell for submit_and_wait.sh. From this folder:
#
#   docker build -f kubectl.Dockerfile -t registry.example.com/xlmr-kubectl:1.34.2 .
#
# kubectl may be one minor version older or newer than the cluster.
FROM registry.k8s.io/kubectl:v1.34.2 AS kubectl

FROM debian:trixie-slim
RUN useradd --create-home --uid 1000 xlmr
COPY --from=kubectl /bin/kubectl /usr/local/bin/kubectl
USER 1000
CMD ["kubectl", "version", "--client"]
