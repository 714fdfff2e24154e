/**
 * The errors of the library; `instanceof` tells them apart.
 *
 *     OnParError
 *     ├── BundleNotFound        nothing, or no bundle, at that address
 *     ├── BundleInvalid         bundle.json breaks the contract, or is of a newer format
 *     │   ├── ChecksumMismatch  a file is missing or differs from its SHA-256
 *     │   └── SignatureInvalid  SIGNATURE does not fit, or is not by the trusted key
 *     ├── RuntimeTooOld         this browser's runtime can't load the artifact
 *     ├── BackendUnavailable    no runtime here can run the bundle
 *     └── BadInput              a picture, frame, depth map, box or call that can't be used
 *
 * A message says what was received, what is allowed and what to do.
 */
export class OnParError extends Error {
  // Written out: a minifier renames classes.
  override readonly name: string = 'OnParError';
}

export class BundleNotFound extends OnParError {
  override readonly name: string = 'BundleNotFound';
}

export class BundleInvalid extends OnParError {
  override readonly name: string = 'BundleInvalid';
}

export class ChecksumMismatch extends BundleInvalid {
  override readonly name: string = 'ChecksumMismatch';
}

export class SignatureInvalid extends BundleInvalid {
  override readonly name: string = 'SignatureInvalid';
}

export class RuntimeTooOld extends OnParError {
  override readonly name: string = 'RuntimeTooOld';
}

export class BackendUnavailable extends OnParError {
  override readonly name: string = 'BackendUnavailable';
}

export class BadInput extends OnParError {
  override readonly name: string = 'BadInput';
}
