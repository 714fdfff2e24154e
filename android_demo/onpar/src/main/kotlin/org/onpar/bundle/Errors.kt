package org.onpar

/**
 * The errors of the library.
 *
 *     OnParException
 *     ├── BundleNotFound        nothing, or no bundle, at that place
 *     ├── BundleInvalid         bundle.json breaks the contract, or is of a newer format
 *     │   ├── ChecksumMismatch  a file is missing or differs from its SHA-256
 *     │   └── SignatureInvalid  SIGNATURE does not fit, or is not by the trusted key
 *     ├── RuntimeTooOld         the runtime in the app can't load the artifact
 *     ├── BackendUnavailable    no runtime in the app can run the bundle
 *     └── BadInput              a picture, frame, depth map, box or call that can't be used
 *
 * A message says what was received, what is allowed and what to do.
 */
open class OnParException(message: String) : Exception(message)

class BundleNotFound(message: String) : OnParException(message)

open class BundleInvalid(message: String) : OnParException(message)

class ChecksumMismatch(message: String) : BundleInvalid(message)

class SignatureInvalid(message: String) : BundleInvalid(message)

class RuntimeTooOld(message: String) : OnParException(message)

class BackendUnavailable(message: String) : OnParException(message)

class BadInput(message: String) : OnParException(message)
