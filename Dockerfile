# syntax=docker/dockerfile:1
# Build:  docker build -t sirenia .
# Run:    docker run --rm -e SIRENIA_SOURCE_URL -e SIRENIA_TARGET_URL sirenia run

FROM rust:1.90-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
# the manifest names the test binary, so Cargo wants to see it
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin sirenia \
 && cp target/release/sirenia /sirenia \
 && strip /sirenia

# glibc and libgcc, nothing else: no shell, no package manager; user 65532
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /sirenia /usr/local/bin/sirenia
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/sirenia/
WORKDIR /etc/sirenia
USER nonroot
EXPOSE 9477
# asks the instance beside it, so it needs no shell and no curl
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s CMD ["/usr/local/bin/sirenia", "status"]
ENTRYPOINT ["/usr/local/bin/sirenia"]
CMD ["run"]
