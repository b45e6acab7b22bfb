# The image of the program alone: a static binary, CA roots, and a folder for the journal. `make image` builds it with
# docker, podman or buildah, whichever is installed.
#
# An Expert's own image copies only the binary: COPY --from=perstack-shipper /usr/local/bin/perstack-shipper /usr/local/bin/

# The image for the build. It needs Go, make, bash and CA roots, and may come from your own registry.
ARG GO_IMAGE=docker.io/library/golang:1.26

FROM --platform=$BUILDPLATFORM $GO_IMAGE AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The builder sets the first two to the platform of the image.
ARG TARGETOS TARGETARCH VERSION=devel COMMIT=unknown
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make build VERSION="$VERSION" COMMIT="$COMMIT"
# scratch lacks these: a folder for the journal, with access for its owner only as the program requires, and a temporary folder.
RUN install -d -m 0700 /state/perstack-shipper && install -d -m 1777 /temporary/tmp

FROM scratch
ARG VERSION=devel COMMIT=unknown CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="perstack-shipper" \
      org.opencontainers.image.description="Ships the events of a Perstack agent to CloudWatch Logs and loses none" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.created="$CREATED"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /temporary/ /
COPY --from=build --chown=65532:65532 /state/ /var/lib/
COPY --from=build /src/bin/perstack-shipper /usr/local/bin/perstack-shipper

# This makes /var/lib/perstack-shipper the default journal folder. The program writes nowhere else, so the root file system
# may be read-only. A volume there keeps what is not delivered yet when the container is replaced. ECS gives its own volumes
# the owner and mode of the folder in the image.
ENV XDG_STATE_HOME=/var/lib
VOLUME /var/lib/perstack-shipper

# For Docker and Podman. ECS and Kubernetes ignore it and use their own checks; see deploy/ecs.
HEALTHCHECK --interval=30s --timeout=5s --retries=3 CMD ["/usr/local/bin/perstack-shipper", "healthcheck"]

USER 65532:65532
ENTRYPOINT ["/usr/local/bin/perstack-shipper"]
