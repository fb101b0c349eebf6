//! Kinds of operations that a program may tell of itself.

/// A set of kinds of operations: what `own_spans` and `own_metrics` of `struct process` in `bpf/maps.h` have as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Operations(u16);

impl Operations {
    /// None.
    pub const NONE: Self = Self(0);
    /// Requests of an HTTP server.
    pub const HTTP_SERVER: Self = Self(1);
    /// Requests of an HTTP client.
    pub const HTTP_CLIENT: Self = Self(2);
    /// RPCs that are served.
    pub const RPC_SERVER: Self = Self(4);
    /// RPCs that are called.
    pub const RPC_CLIENT: Self = Self(8);
    /// Calls of `database/sql`.
    pub const SQL: Self = Self(16);
    /// Commands of Redis.
    pub const REDIS: Self = Self(32);
    /// Statements of pgx, of its own.
    pub const PGX: Self = Self(64);
    /// Messages that are sent or received.
    pub const MESSAGES: Self = Self(128);
    /// Commands of MongoDB.
    pub const MONGO: Self = Self(256);
    /// Spans that the program makes by hand, through an SDK that leaves them to others. They are operations of no kind
    /// that the kernel side knows.
    pub const SDK_SPANS: Self = Self(1024);

    /// All, with their names.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::HTTP_SERVER, "HTTP server"),
        (Self::HTTP_CLIENT, "HTTP client"),
        (Self::RPC_SERVER, "RPC server"),
        (Self::RPC_CLIENT, "RPC client"),
        (Self::SQL, "database/sql"),
        (Self::REDIS, "Redis"),
        (Self::PGX, "pgx"),
        (Self::MESSAGES, "messages"),
        (Self::MONGO, "MongoDB"),
        (Self::SDK_SPANS, "spans by hand"),
    ];

    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of the other are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both that both have.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        Self::ALL.into_iter().filter(|(kind, _)| self.contains(*kind)).map(|(_, name)| name).collect()
    }
}

impl FromIterator<Self> for Operations {
    fn from_iter<T: IntoIterator<Item = Self>>(sets: T) -> Self {
        sets.into_iter().fold(Self::NONE, Self::and)
    }
}
