/** SIGNATURE: ECDSA over P-256 with SHA-256, by WebCrypto. */
import { SignatureInvalid } from './errors';

export type SignatureState = 'not signed' | 'signed by an unknown key' | 'signed by a trusted key';

/**
 * Check SIGNATURE against the bytes of bundle.json.
 *
 * @param trustedKey PEM of the public key that must have signed; without one any signer, or none, is accepted.
 */
export async function verifySignature(
  manifest: Uint8Array<ArrayBuffer>,
  signature: Uint8Array,
  trustedKey?: string,
): Promise<SignatureState> {
  const document = parse(signature);
  if (document.sha256 !== (await sha256(manifest))) {
    throw new SignatureInvalid('bundle.json differs from its SIGNATURE; get the bundle again');
  }
  if (document.algorithm === 'none') {
    if (trustedKey !== undefined) {
      throw new SignatureInvalid('the bundle is not signed; export it with --signing-key for the trusted key');
    }
    return 'not signed';
  }
  if (document.algorithm !== 'ecdsa-p256-sha256') {
    throw new SignatureInvalid(
      `SIGNATURE uses '${document.algorithm}'; allowed: ecdsa-p256-sha256, none; update onpar`,
    );
  }
  const key = fromPem(String(document.public_key));
  if (key === null || !(await fits(manifest, String(document.signature), key))) {
    throw new SignatureInvalid('SIGNATURE does not fit bundle.json; get the bundle again');
  }
  if (trustedKey === undefined) return 'signed by an unknown key';
  const trusted = fromPem(trustedKey);
  if (trusted === null || hex(trusted) !== hex(key)) {
    throw new SignatureInvalid('the bundle is signed by another key than the trusted one; get it from its maker again');
  }
  return 'signed by a trusted key';
}

/** Lower-case hex SHA-256. */
export async function sha256(content: Uint8Array<ArrayBuffer>): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', content)));
}

function parse(signature: Uint8Array): Record<string, unknown> {
  try {
    const document: unknown = JSON.parse(new TextDecoder().decode(signature));
    if (typeof document === 'object' && document !== null && 'algorithm' in document && 'sha256' in document) {
      return document as Record<string, unknown>;
    }
  } catch {
    // Said below, in the words that fit both.
  }
  throw new SignatureInvalid('SIGNATURE is damaged; get the bundle again');
}

async function fits(
  manifest: Uint8Array<ArrayBuffer>,
  signature: string,
  key: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  try {
    const scheme = { name: 'ECDSA', namedCurve: 'P-256' };
    const imported = await crypto.subtle.importKey('spki', key, scheme, false, ['verify']);
    const raw = rawFromDer(fromBase64(signature));
    return raw !== null && (await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, imported, raw, manifest));
  } catch {
    return false;
  }
}

/** WebCrypto wants r and s as 32 bytes each; SIGNATURE holds them in DER: 30 len 02 len r 02 len s. */
function rawFromDer(der: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const raw = new Uint8Array(64);
  if (der[0] !== 0x30 || der[1] !== der.length - 2) return null;
  let at = 2;
  for (const end of [32, 64]) {
    const length = der[at + 1];
    if (der[at] !== 0x02 || length === undefined || length < 1 || at + 2 + length > der.length) return null;
    let digits = der.subarray(at + 2, at + 2 + length);
    while (digits.length > 32 && digits[0] === 0) digits = digits.subarray(1);
    if (digits.length > 32) return null;
    raw.set(digits, end - digits.length);
    at += 2 + length;
  }
  return at === der.length ? raw : null;
}

function fromPem(pem: string): Uint8Array<ArrayBuffer> | null {
  const body = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----/.exec(pem)?.[1];
  return body === undefined ? null : fromBase64(body.replace(/\s/g, ''));
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
