// The HEALTHCHECK of the three images: exit 0 when the service in this
// container says that it is ready. Knows PORT, and TLS_CERT_FILE where the
// service speaks HTTPS; whose certificate that is does not matter here.
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

const isTls = Boolean(process.env.TLS_CERT_FILE);
const url = `${isTls ? 'https' : 'http'}://127.0.0.1:${process.env.PORT || 8000}/readyz`;
const request = (isTls ? getHttps : getHttp)(url, { timeout: 2_000, rejectUnauthorized: false }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
});
request.on('error', () => process.exit(1)).on('timeout', () => process.exit(1));
