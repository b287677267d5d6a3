/* digest.c - SHA-256 by libsodium. */
#include "base_impl.h"
#include <sodium.h>

static crypto_hash_sha256_state *state(ul_digest *d)
{
    _Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(ul_digest), "ul_digest is too small");
    return (crypto_hash_sha256_state *)(void *)d->opaque;
}

void ul_digest_init(ul_digest *d)
{
    crypto_hash_sha256_init(state(d));
}

void ul_digest_add(ul_digest *d, const void *bytes, size_t n)
{
    crypto_hash_sha256_update(state(d), bytes, n);
}

void ul_digest_hex(ul_digest *d, char out[65])
{
    static const char digit[] = "0123456789abcdef";
    unsigned char h[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(state(d), h);
    for (size_t i = 0; i < sizeof h; i++) {
        out[2 * i] = digit[h[i] >> 4];
        out[2 * i + 1] = digit[h[i] & 15];
    }
    out[64] = 0;
}
