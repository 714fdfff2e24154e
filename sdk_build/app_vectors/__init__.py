"""What the Kotlin, Swift and TypeScript libraries are held to."""
