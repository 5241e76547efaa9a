// The HEALTHCHECK of the three images: exit 0 when the service in this
// container says that it is ready. Knows only PORT.
const url = `http://127.0.0.1:${process.env.PORT ?? 8000}/readyz`;
const ready = await fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
  (response) => response.ok,
  () => false,
);
process.exit(ready ? 0 : 1);
