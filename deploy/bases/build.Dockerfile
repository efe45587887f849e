# Replaces docker.io/library/rust:VERSION-slim-trixie where no registry is reachable: Debian with this machine's toolchain and
# certificate authorities (which may include a proxy's). `cargo xtask image` builds it; it creates debian.tar with mmdebstrap
# and passes the folders as build contexts.
#
# hadolint global ignore=DL3022 # COPY reads from folders of this machine, not from stages.
# checkov:skip=CKV_DOCKER_2: a build environment, not a service
# checkov:skip=CKV_DOCKER_3: a build environment, not a service
# checkov:skip=CKV_DOCKER_4: ADD unpacks the archive, COPY would not
FROM scratch
ARG RUST_VERSION
ARG TOOLCHAIN
ADD debian.tar /
COPY --from=trust ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=rustup rustup /usr/local/cargo/bin/rustup
COPY --from=toolchain bin /usr/local/rustup/toolchains/$TOOLCHAIN/bin
COPY --from=toolchain lib /usr/local/rustup/toolchains/$TOOLCHAIN/lib
ENV RUSTUP_HOME=/usr/local/rustup \
  CARGO_HOME=/usr/local/cargo \
  PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  RUST_VERSION=$RUST_VERSION
RUN for program in cargo rustc; do ln -s rustup "/usr/local/cargo/bin/$program"; done
