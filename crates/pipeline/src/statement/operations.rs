//! Operations that databases know. What else a statement or a command begins with is named [`OTHER`]: it is without bound, and
//! may be a value.

use std::collections::HashSet;
use std::sync::LazyLock;

/// What is no known operation (semantic conventions, as for methods of HTTP).
pub(crate) const OTHER: &str = "_OTHER";
/// Most bytes of a command of Redis that the kernel side takes for one.
const COMMAND_MAX: usize = 24;

/// First words of statements in the dialects of SQL and of what resembles it.
const SQL: &str = "\
    ABORT ADMIN ADMINISTER ALTER ANALYSE ANALYZE APPLY ASSOCIATE ATTACH AUDIT BACKUP BATCH BEGIN BINLOG BULK CACHE CALL \
    CHANGE CHECK CHECKPOINT CHECKSUM CLONE CLOSE CLUSTER COMMENT COMMIT COPY CREATE DBCC DEALLOCATE DECLARE DELETE DENY \
    DESC DESCRIBE DETACH DISASSOCIATE DISCARD DO DROP END EXEC EXECUTE EXISTS EXPLAIN EXPORT FETCH FLASHBACK FLUSH FROM \
    GET GRANT HANDLER HELP IF IMPORT INSERT INSTALL KILL LIST LISTEN LOAD LOCK MATCH MERGE MOVE NOAUDIT NOTIFY OPEN \
    OPTIMIZE PIVOT PRAGMA PREPARE PRINT PURGE PUT RAISERROR REASSIGN RECONFIGURE RECOVER REFRESH REINDEX RELEASE REMOVE \
    RENAME REPAIR REPLACE RESET RESIGNAL RESTART RESTORE RETURN REVERT REVOKE ROLLBACK SAVE SAVEPOINT SECURITY SELECT SET \
    SHOW SHUTDOWN SIGNAL SPLIT START STOP SUMMARIZE SYSTEM TABLE THROW TRACE TRUNCATE UNCACHE UNDROP UNINSTALL UNLISTEN \
    UNLOAD UNLOCK UNPIVOT UNWIND UPDATE UPSERT USE VACUUM VALUES WAITFOR WATCH WHILE WITH XA";

/// Commands of Redis and Valkey, with those of their modules. `PIPELINE` is several at once.
const REDIS: &str = "\
    ACL APPEND ASKING AUTH BGREWRITEAOF BGSAVE BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP \
    BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN CLIENT CLUSTER CLUSTERSCAN COMMAND COMMANDLOG CONFIG COPY DBSIZE DEBUG DECR DECRBY \
    DEL DELEX DELIFEQ DIGEST DISCARD DUMP ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO EXEC EXISTS EXPIRE EXPIREAT EXPIRETIME \
    FAILOVER FCALL FCALL_RO FLUSHALL FLUSHDB FUNCTION GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER \
    GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HELLO HEXISTS \
    HEXPIRE HEXPIREAT HEXPIRETIME HGET HGETALL HGETDEL HGETEX HIMPORT HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HOTKEYS \
    HPERSIST HPEXPIRE HPEXPIREAT HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY \
    INCRBYFLOAT INCREX INFO KEYS LASTSAVE LATENCY LCS LINDEX LINSERT LLEN LMOVE LMPOP LOLWUT LPOP LPOS LPUSH LPUSHX LRANGE \
    LREM LSET LTRIM MEMORY MGET MIGRATE MODULE MONITOR MOVE MSET MSETEX MSETNX MULTI OBJECT PERSIST PEXPIRE PEXPIREAT \
    PEXPIRETIME PFADD PFCOUNT PFDEBUG PFMERGE PFSELFTEST PING PIPELINE PSETEX PSUBSCRIBE PSYNC PTTL PUBLISH PUBSUB \
    PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE RENAME RENAMENX REPLCONF REPLICAOF RESET RESTORE ROLE RPOP RPOPLPUSH \
    RPUSH RPUSHX SADD SAVE SCAN SCARD SCRIPT SDIFF SDIFFSTORE SELECT SENTINEL SET SETBIT SETEX SETNX SETRANGE SHUTDOWN \
    SINTER SINTERCARD SINTERSTORE SISMEMBER SLAVEOF SLOWLOG SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP SPUBLISH \
    SRANDMEMBER SREM SSCAN SSUBSCRIBE STRLEN SUBSCRIBE SUBSTR SUNION SUNIONSTORE SUNSUBSCRIBE SWAPDB SYNC TIME TOUCH TTL \
    TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH XACK XACKDEL XADD XAUTOCLAIM XCFGSET XCLAIM XDEL XDELEX XGROUP \
    XINFO XLEN XNACK XPENDING XRANGE XREAD XREADGROUP XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY \
    ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE \
    ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE \
    ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE \
    ARAGG ARCOUNT ARDEL ARDELRANGE ARGET ARGETRANGE ARGREP ARINFO ARINSERT ARLASTITEMS ARLEN ARMGET ARMSET ARNEXT AROP \
    ARRING ARSCAN ARSEEK ARSET \
    BF.ADD BF.CARD BF.DEBUG BF.EXISTS BF.INFO BF.INSERT BF.LOAD BF.LOADCHUNK BF.MADD BF.MEXISTS BF.RESERVE BF.SCANDUMP \
    CF.ADD CF.ADDNX CF.COMPACT CF.COUNT CF.DEBUG CF.DEL CF.EXISTS CF.INFO CF.INSERT CF.INSERTNX CF.LOADCHUNK CF.MEXISTS \
    CF.RESERVE CF.SCANDUMP CMS.INCRBY CMS.INFO CMS.INITBYDIM CMS.INITBYPROB CMS.MERGE CMS.QUERY \
    FT.ADD FT.AGGREGATE FT.ALIASADD FT.ALIASDEL FT.ALIASLIST FT.ALIASUPDATE FT.ALTER FT.CONFIG FT.CREATE FT.CURSOR FT.DEL \
    FT.DICTADD FT.DICTDEL FT.DICTDUMP FT.DROP FT.DROPINDEX FT.EXPLAIN FT.EXPLAINCLI FT.GET FT.HYBRID FT.INFO FT.MGET \
    FT.PROFILE FT.SEARCH FT.SPELLCHECK FT.SUGADD FT.SUGDEL FT.SUGGET FT.SUGLEN FT.SYNADD FT.SYNDUMP FT.SYNUPDATE \
    FT.TAGVALS FT._ALIASADDIFNX FT._ALIASDELIFX FT._ALTERIFNX FT._CREATEIFNX FT._DEBUG FT._DROPIFX FT._DROPINDEXIFX \
    FT._LIST \
    GRAPH.CONFIG GRAPH.CONSTRAINT GRAPH.COPY GRAPH.DELETE GRAPH.EXPLAIN GRAPH.INFO GRAPH.LIST GRAPH.MEMORY GRAPH.PROFILE \
    GRAPH.QUERY GRAPH.RO_QUERY GRAPH.SLOWLOG \
    JSON.ARRAPPEND JSON.ARRINDEX JSON.ARRINSERT JSON.ARRLEN JSON.ARRPOP JSON.ARRTRIM JSON.CLEAR JSON.DEBUG JSON.DEL \
    JSON.FORGET JSON.GET JSON.MERGE JSON.MGET JSON.MSET JSON.NUMINCRBY JSON.NUMMULTBY JSON.NUMPOWBY JSON.OBJKEYS \
    JSON.OBJLEN JSON.RESP JSON.SET JSON.STRAPPEND JSON.STRLEN JSON.TOGGLE JSON.TYPE \
    TDIGEST.ADD TDIGEST.BYRANK TDIGEST.BYREVRANK TDIGEST.CDF TDIGEST.CREATE TDIGEST.INFO TDIGEST.MAX TDIGEST.MERGE \
    TDIGEST.MIN TDIGEST.QUANTILE TDIGEST.RANK TDIGEST.RESET TDIGEST.REVRANK TDIGEST.TRIMMED_MEAN TFCALL TFCALLASYNC \
    TFUNCTION TOPK.ADD TOPK.COUNT TOPK.INCRBY TOPK.INFO TOPK.LIST TOPK.QUERY TOPK.RESERVE \
    TS.ADD TS.ALTER TS.CREATE TS.CREATERULE TS.DECRBY TS.DEL TS.DELETERULE TS.GET TS.INCRBY TS.INFO TS.MADD TS.MGET \
    TS.MRANGE TS.MREVRANGE TS.QUERYINDEX TS.QUERYLABELS TS.RANGE TS.READ TS.REVRANGE \
    VADD VCARD VDIM VEMB VGETATTR VINFO VISMEMBER VLINKS VRANDMEMBER VRANGE VREM VSETATTR VSIM";

/// Commands of MongoDB, as they are written.
const MONGODB: &str = "\
    abortTransaction aggregate analyze applyOps authenticate autoCompact autoSplitVector balancerStart balancerStatus \
    balancerStop buildInfo buildinfo bulkWrite clearJumboFlag cloneCollectionAsCapped collMod collStats \
    commitTransaction compact configureFailPoint connPoolStats connectionStatus convertToCapped count create \
    createIndexes createRole createSearchIndexes createUser currentOp dataSize dbHash dbStats delete distinct drop \
    dropAllRolesFromDatabase dropAllUsersFromDatabase dropConnections dropDatabase dropIndexes dropRole dropSearchIndex \
    dropUser enableSharding endSessions explain filemd5 find findAndModify findandmodify fsync fsyncUnlock geoSearch \
    getCmdLineOpts getDefaultRWConcern getLastError getLog getMore getParameter getShardMap grantPrivilegesToRole \
    grantRolesToRole grantRolesToUser hello hostInfo insert invalidateUserCache isMaster isdbgrid ismaster \
    killAllSessions killAllSessionsByPattern killCursors killOp killSessions listCollections listCommands listDatabases \
    listIndexes listSearchIndexes listShards lockInfo logRotate logout mapReduce mergeChunks moveChunk moveCollection \
    movePrimary netstat ping planCacheClear planCacheClearFilters planCacheListFilters planCacheSetFilter profile reIndex \
    refineCollectionShardKey refreshSessions removeShard renameCollection replSetGetConfig replSetGetStatus \
    replSetInitiate replSetReconfig replSetStepDown reshardCollection revokePrivilegesFromRole revokeRolesFromRole \
    revokeRolesFromUser rolesInfo rotateCertificates saslContinue saslStart serverStatus setDefaultRWConcern \
    setFeatureCompatibilityVersion setParameter setQuerySettings shardCollection shardingState shutdown split \
    startSession top unshardCollection update updateRole updateSearchIndex updateUser usersInfo validate \
    validateDBMetadata whatsmyuri";

/// One set of each.
type Known = LazyLock<HashSet<&'static str>>;

static OF_SQL: Known = LazyLock::new(|| SQL.split_ascii_whitespace().collect());
static OF_REDIS: Known = LazyLock::new(|| REDIS.split_ascii_whitespace().collect());
static OF_MONGODB: Known = LazyLock::new(|| MONGODB.split_ascii_whitespace().collect());

fn known(of: &Known, name: &str) -> &'static str {
    of.get(name).copied().unwrap_or(OTHER)
}

/// `db.operation.name` of a statement's first word.
pub(crate) fn sql_operation(word: &str) -> &'static str {
    known(&OF_SQL, &word.to_ascii_uppercase())
}

/// `db.operation.name` of a command of MongoDB.
pub(crate) fn mongodb_operation(name: &str) -> &'static str {
    known(&OF_MONGODB, name)
}

/// `db.operation.name` of a Redis command: upper-cased, since clients write commands either way and the server does not
/// care. `None` if it cannot be a command's name, by the kernel's rule.
pub fn redis_operation(command: &[u8]) -> Option<&'static str> {
    let allowed = |byte: &u8| byte.is_ascii_alphabetic() || b"._".contains(byte);
    let is_name = (1..=COMMAND_MAX).contains(&command.len()) && command.iter().all(allowed);
    let name = std::str::from_utf8(command).ok().filter(|_| is_name)?;
    Some(known(&OF_REDIS, &name.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_operation_is_other() {
        for (word, expected) in [("select", "SELECT"), ("SELECT", "SELECT"), ("SECRETTOKEN", OTHER), ("", OTHER)] {
            assert_eq!(sql_operation(word), expected);
        }
        for (command, expected) in [
            ("get", Some("GET")),
            ("hmset", Some("HMSET")),
            ("ft.search", Some("FT.SEARCH")),
            ("JSON.GET", Some("JSON.GET")),
            ("GeoRadiusByMember_RO", Some("GEORADIUSBYMEMBER_RO")),
            ("SECRETSESSIONTOKEN", Some(OTHER)),
            ("ft.secret", Some(OTHER)),
            ("SECRET08", None),
            ("get x", None),
            ("g\u{e4}t", None),
            ("\0", None),
            ("", None),
            ("aaaaaaaaaaaaaaaaaaaaaaaaa", None),
        ] {
            assert_eq!(redis_operation(command.as_bytes()), expected, "{command}");
        }
        assert_eq!((mongodb_operation("findAndModify"), mongodb_operation("secret")), ("findAndModify", OTHER));
    }

    #[test]
    fn all_are_words_by_the_kernels_rule() {
        for word in OF_SQL.iter() {
            assert!(word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_uppercase()), "{word}");
        }
        for word in OF_REDIS.iter() {
            assert_eq!(redis_operation(word.as_bytes()), Some(*word));
        }
        for (words, set) in [(SQL, &OF_SQL), (REDIS, &OF_REDIS), (MONGODB, &OF_MONGODB)] {
            assert_eq!(words.split_ascii_whitespace().count(), set.len(), "one is there twice");
        }
    }
}
