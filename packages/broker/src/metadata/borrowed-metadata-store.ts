import type { MetadataFollowing, MetadataStore } from './metadata-store.js'

/** One user's part in a store that others of this process use as well: closing it ends what this one follows, and nothing else. */
export function borrowedMetadataStore(store: MetadataStore): MetadataStore {
  const followings = new Set<MetadataFollowing>()
  return {
    list: (prefix) => store.list(prefix),
    txn: (transaction) => store.txn(transaction),
    follow: (prefix, follower) => {
      const following = store.follow(prefix, follower)
      followings.add(following)
      return following
    },
    grantLease: (ttlSeconds) => store.grantLease(ttlSeconds),
    keepAlive: (lease) => store.keepAlive(lease),
    revokeLease: (lease) => store.revokeLease(lease),
    close: async () => {
      for (const following of followings) following.close()
    },
  }
}
