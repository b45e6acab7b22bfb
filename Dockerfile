# The program and nothing else: a static binary, CA roots, a folder for the journal. To build:
#
#   docker build --build-arg VERSION=$(git describe --tags --always) --build-arg COMMIT=$(git rev-parse HEAD) -t perstack-shipper .
#
# An Expert's own image takes just the binary: COPY --from=perstack-shipper /usr/local/bin/perstack-shipper /usr/local/bin/

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The first two are set by the builder, for the platform of the image.
ARG TARGETOS TARGETARCH VERSION=devel COMMIT=unknown
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make build VERSION="$VERSION" COMMIT="$COMMIT"
# What scratch lacks: the journal's folder, for its owner alone as the program demands, and a temporary folder.
RUN install -d -m 0700 /state/perstack-shipper && install -d -m 1777 /temporary/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /temporary/ /
COPY --from=build --chown=65532:65532 /state/ /var/lib/
COPY --from=build /src/bin/perstack-shipper /usr/local/bin/perstack-shipper

# The default journal folder is then /var/lib/perstack-shipper. A volume there keeps what is not delivered yet when the
# container is replaced; ECS gives its own volumes the owner and the mode of the folder in the image.
ENV XDG_STATE_HOME=/var/lib
VOLUME /var/lib/perstack-shipper

USER 65532:65532
ENTRYPOINT ["/usr/local/bin/perstack-shipper"]
