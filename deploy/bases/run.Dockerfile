# Replaces gcr.io/distroless/static-debian13:nonroot where no registry is reachable: the same Debian packages, unpacked, and
# the same user. `cargo xtask image` builds it.
#
# checkov:skip=CKV_DOCKER_2: a base image, not a service
# checkov:skip=CKV_DOCKER_7: the base image was just built on this machine
ARG BUILD_BASE
FROM $BUILD_BASE AS unpacked
WORKDIR /packages
RUN apt-get update && apt-get download base-files ca-certificates media-types netbase tzdata
WORKDIR /root-folder
RUN for package in /packages/*.deb; do dpkg-deb --extract "$package" .; done \
  && cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt \
  && rm -r usr/share/doc usr/share/man usr/share/ca-certificates usr/sbin \
  && printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >etc/passwd \
  && printf 'root:x:0:\nnonroot:x:65532:\n' >etc/group \
  && install -d -m 700 -o 65532 -g 65532 home/nonroot

FROM scratch
COPY --from=unpacked /root-folder /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532
WORKDIR /home/nonroot
