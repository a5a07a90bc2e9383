BEGIN TRANSACTION;
CREATE TABLE account_status (
	account TEXT NOT NULL, 
	replica TEXT NOT NULL, 
	heartbeat_at BIGINT NOT NULL, 
	last_pass_at BIGINT, 
	last_error TEXT, 
	next_try_at BIGINT, 
	CONSTRAINT pk_account_status PRIMARY KEY (account)
);
INSERT INTO "account_status" VALUES('111111111111','worker-1',1772470800000000,1772470800000000,NULL,NULL);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE checkpoints (
	position BIGINT NOT NULL, 
	"key" TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	note TEXT NOT NULL, 
	made_at BIGINT NOT NULL, 
	CONSTRAINT pk_checkpoints PRIMARY KEY (position, "key")
);
INSERT INTO "checkpoints" VALUES(19,'example.com/ledger+3481d542','b85f835860eb455c9aee006d6d657652d83ad11af8edaddd6b833345ccb5a7ae','iam-ledger/11f70f3b6e7d
19
uF+DWGDrRVya7gBtbWV2Utg60Rr47a3da4MzRcy1p64=

— example.com/ledger NIHVQjoeiWXBKNWamxA1Ok65hyRXcpDvRULKoyyadSCDt11umeMQhqtsPSoZlgevVjYo+hUn5odfn90Jpmt4BSb+dAw=
',1772470801000000);
CREATE TABLE events (
	position INTEGER NOT NULL, 
	recorded_at BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	team TEXT, 
	account TEXT, 
	grant_id TEXT, 
	turn INTEGER, 
	principal TEXT, 
	policy TEXT, 
	payload TEXT NOT NULL, 
	provenance TEXT NOT NULL, 
	dedup_key TEXT NOT NULL, 
	prev_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (position), 
	CONSTRAINT uq_events_dedup_key UNIQUE (dedup_key)
);
INSERT INTO "events" VALUES(1,1772452800000000,'account_mapped',1,'payments','111111111111',NULL,NULL,NULL,NULL,'{"account":{"account":"111111111111","deployer_role":"Deployer","environment":"prod","external_id":null,"team":"payments"}}','{}','account_mapped:0:111111111111:payments:::prod','0000000000000000000000000000000000000000000000000000000000000000','11f70f3b6e7d460b3126f5abb6d36adbfbcf211c310c0fd44536a6c61ac22d60');
INSERT INTO "events" VALUES(2,1772452800000000,'account_mapped',1,'payments','222222222222',NULL,NULL,NULL,NULL,'{"account":{"account":"222222222222","deployer_role":"Deployer","environment":"dev","external_id":null,"team":"payments"}}','{}','account_mapped:0:222222222222:payments:::dev','11f70f3b6e7d460b3126f5abb6d36adbfbcf211c310c0fd44536a6c61ac22d60','21eb2f6f4277709b967e89266e03b06db93391e10b24181a168144895d0c6adc');
INSERT INTO "events" VALUES(3,1772452800000000,'settings_changed',1,NULL,NULL,NULL,NULL,NULL,NULL,'{"drift":"warn","managed_principals":["user/*"],"policy_path":"/iam-ledger/","protected_principals":[],"user_names":"local-part"}','{}','settings_changed:0:::::','21eb2f6f4277709b967e89266e03b06db93391e10b24181a168144895d0c6adc','cdd58ee715074295f5b08b384d4902e51eab58c7eff70e01b076a5c9b415bf60');
INSERT INTO "events" VALUES(4,1772452836000000,'policy_defined',1,'payments',NULL,NULL,NULL,NULL,'fix','{"policy":{"description":"Répare “tout” – ☃ 😀","document":"{\"Statement\":[{\"Action\":\"s3:*\",\"Effect\":\"Allow\",\"Resource\":\"*\"}],\"Version\":\"2012-10-17\"}","iam_name":"payments-fix","managed_policies":["arn:aws:iam::aws:policy/ReadOnlyAccess"],"max_duration_s":28800,"name":"fix","team":"payments"}}','{}','policy_defined:0::payments::fix:','cdd58ee715074295f5b08b384d4902e51eab58c7eff70e01b076a5c9b415bf60','628cc3eba4cc7fcbcea7153f5f1f1f37bf688de6f4a2850e198ca427feff2040');
INSERT INTO "events" VALUES(5,1772452872000000,'granted',1,'payments','111111111111','aaaa2222bbbb3333',1,'user/ana','fix','{"grant":{"account":"111111111111","continues":null,"description":"Répare “tout” – ☃","environment":"prod","id":"aaaa2222bbbb3333","object":"iam-ledger-aaaa2222bbbb3333","policy":"fix","principal":"user/ana","team":"payments","ticket":"OPS-1234","turn":1,"window":{"ends_at":"2026-03-02T16:00:00Z","starts_at":"2026-03-02T12:00:00Z"}}}','{"approved_by":["carol","dan"],"author":"Bob <bob@example.com>","commit":"1a2b3c4d5e6f70819203a4b5c6d7e8f901234567","pull_request":"https://example.com/pull/7","source":"temporary-access/payments.yaml:14"}','granted:0:aaaa2222bbbb3333:1:','628cc3eba4cc7fcbcea7153f5f1f1f37bf688de6f4a2850e198ca427feff2040','86f9a7fdcd6720a656b359607d4eb1e0ccaad298d6166859884767a85995664f');
INSERT INTO "events" VALUES(6,1772452872000000,'granted',1,'payments','111111111111','cccc2222dddd3333',1,'role/ci-deployer','look','{"grant":{"account":"111111111111","continues":null,"description":null,"environment":"prod","id":"cccc2222dddd3333","object":null,"policy":"look","principal":"role/CI-deployer","team":"payments","ticket":null,"turn":1,"window":{"ends_at":null,"starts_at":"2026-03-02T12:00:00Z"}}}','{"approved_by":["carol","dan"],"author":"Bob <bob@example.com>","commit":"1a2b3c4d5e6f70819203a4b5c6d7e8f901234567","pull_request":"https://example.com/pull/7","source":"temporary-access/payments.yaml:14"}','granted:0:cccc2222dddd3333:1:','86f9a7fdcd6720a656b359607d4eb1e0ccaad298d6166859884767a85995664f','d68479cdb82b0836ac956022dd0c56bac03c8b90f54754ba46bc1d5f2e62a3b8');
INSERT INTO "events" VALUES(7,1772452908000000,'granted',1,'payments','111111111111','eeee2222ffff3333',1,'user/cyd','fix','{"grant":{"account":"111111111111","continues":null,"description":null,"environment":"prod","id":"eeee2222ffff3333","object":"iam-ledger-eeee2222ffff3333","policy":"fix","principal":"user/Cyd","team":"payments","ticket":null,"turn":1,"window":{"ends_at":"2026-03-02T18:00:00Z","starts_at":"2026-03-02T12:00:00Z"}}}','{"approved_by":["carol","dan"],"author":"Bob <bob@example.com>","commit":"1a2b3c4d5e6f70819203a4b5c6d7e8f901234567","pull_request":"https://example.com/pull/7","source":"temporary-access/payments.yaml:14"}','granted:0:eeee2222ffff3333:1:','d68479cdb82b0836ac956022dd0c56bac03c8b90f54754ba46bc1d5f2e62a3b8','5e21f936b35d03be147a99bf35d316b245d7f40f1b7a72ef2094a8f52fadde08');
INSERT INTO "events" VALUES(8,1772452908000000,'granted',1,'payments','111111111111','gggg2222hhhh3333',1,'user/dan','fix','{"grant":{"account":"111111111111","continues":null,"description":null,"environment":"prod","id":"gggg2222hhhh3333","object":"iam-ledger-gggg2222hhhh3333","policy":"fix","principal":"user/dan","team":"payments","ticket":null,"turn":1,"window":{"ends_at":"2026-03-02T20:00:00Z","starts_at":"2026-03-02T12:00:00Z"}}}','{"approved_by":["carol","dan"],"author":"Bob <bob@example.com>","commit":"1a2b3c4d5e6f70819203a4b5c6d7e8f901234567","pull_request":"https://example.com/pull/7","source":"temporary-access/payments.yaml:14"}','granted:0:gggg2222hhhh3333:1:','5e21f936b35d03be147a99bf35d316b245d7f40f1b7a72ef2094a8f52fadde08','010e066df180065a0bc2dcf376135b50b273744b4d796bc8efc9dabefa26b724');
INSERT INTO "events" VALUES(9,1772453160000000,'applied',1,'payments','111111111111','aaaa2222bbbb3333',1,'user/ana','fix','{"confirmed_at":"2026-03-02T12:06:00Z","enforcement":"aws","grant":{"account":"111111111111","id":"aaaa2222bbbb3333","policy":"fix","principal":"user/ana","team":"payments","turn":1},"made":[{"kind":"inline","name":"iam-ledger-aaaa2222bbbb3333","sha256":"0000000000000000000000000000000000000000000000000000000000000000"}],"pins":[],"policy_position":1,"requests":["req-1"]}','{"pass_id":"p1","replica":"worker-1"}','applied:0:aaaa2222bbbb3333:1:','010e066df180065a0bc2dcf376135b50b273744b4d796bc8efc9dabefa26b724','97b449f55fe0b4d418194f37ce399e1b2c35cf5d4d1eccd1cc78136ab95a3c00');
INSERT INTO "events" VALUES(10,1772453160000000,'applied',1,'payments','111111111111','cccc2222dddd3333',1,'role/ci-deployer','look','{"confirmed_at":"2026-03-02T12:06:00Z","enforcement":null,"grant":{"account":"111111111111","id":"cccc2222dddd3333","policy":"look","principal":"role/CI-deployer","team":"payments","turn":1},"made":[{"kind":"attachment","name":"arn:aws:iam::aws:policy/ReadOnlyAccess","sha256":null}],"pins":[],"policy_position":1,"requests":["req-1"]}','{"pass_id":"p1","replica":"worker-1"}','applied:0:cccc2222dddd3333:1:','97b449f55fe0b4d418194f37ce399e1b2c35cf5d4d1eccd1cc78136ab95a3c00','9760a47706b7f3be958fe615a2dcb41896342ac08c9f2fff2a8734c6872d5b73');
INSERT INTO "events" VALUES(11,1772453520000000,'applied',1,'payments','111111111111','eeee2222ffff3333',1,'user/cyd','fix','{"confirmed_at":"2026-03-02T12:12:00Z","enforcement":"aws","grant":{"account":"111111111111","id":"eeee2222ffff3333","policy":"fix","principal":"user/Cyd","team":"payments","turn":1},"made":[{"kind":"inline","name":"iam-ledger-eeee2222ffff3333","sha256":"0000000000000000000000000000000000000000000000000000000000000000"}],"pins":[],"policy_position":1,"requests":["req-1"]}','{"pass_id":"p1","replica":"worker-1"}','applied:0:eeee2222ffff3333:1:','9760a47706b7f3be958fe615a2dcb41896342ac08c9f2fff2a8734c6872d5b73','7ec51146b1f23971c7888d8c5fe602b30cd981fcb05539ca7380026694cd5f8e');
INSERT INTO "events" VALUES(12,1772453520000000,'refused',1,'payments','111111111111','gggg2222hhhh3333',1,'user/dan','fix','{"code":"TooLarge","grant":{"account":"111111111111","id":"gggg2222hhhh3333","policy":"fix","principal":"user/dan","team":"payments","turn":1},"message":"2,100 of 2,048 characters","policy_position":1}','{}','refused:0:gggg2222hhhh3333:1:','7ec51146b1f23971c7888d8c5fe602b30cd981fcb05539ca7380026694cd5f8e','2dc4101af65c65a5913ccdde20df82d6a3e3be03ce273100b6b4694846a0676a');
INSERT INTO "events" VALUES(13,1772454600000000,'stuck',1,NULL,'111111111111',NULL,NULL,NULL,NULL,'{"account":"111111111111","code":"AccessDenied","grant":null,"message":"not allowed to do it","policy":null,"team":null}','{}','stuck:0:111111111111::::','2dc4101af65c65a5913ccdde20df82d6a3e3be03ce273100b6b4694846a0676a','5bb3409f0482e25d85c239d8c3fde0b3ca94f413c086ffeeec6578ca45d74b44');
INSERT INTO "events" VALUES(14,1772454960000000,'unstuck',1,NULL,'111111111111',NULL,NULL,NULL,NULL,'{"account":"111111111111","grant":null,"policy":null,"team":null}','{}','unstuck:0:111111111111::::','5bb3409f0482e25d85c239d8c3fde0b3ca94f413c086ffeeec6578ca45d74b44','e17608f0e9b1436adfbad1ece0c6eaa5608430acfba403cc49952f1fbbddf42a');
INSERT INTO "events" VALUES(15,1772456400000000,'held',1,NULL,NULL,NULL,NULL,'user/cyd',NULL,'{"account":null,"hold":"hold-1","policy":null,"principal":"user/Cyd","team":null,"word":{"by":"olga","database_role":null,"host":"bastion","os_user":"olga","reason":"left the company"}}','{}','held:0:::user/cyd::hold-1','e17608f0e9b1436adfbad1ece0c6eaa5608430acfba403cc49952f1fbbddf42a','36a58e990d75cd68c2ef0c554cd60529fc30f9bf4e0cf9fad46c409b6996b4e2');
INSERT INTO "events" VALUES(16,1772456400000000,'revoked',1,'payments','111111111111','eeee2222ffff3333',1,'user/cyd','fix','{"cause":"operator","grant":{"account":"111111111111","id":"eeee2222ffff3333","policy":"fix","principal":"user/Cyd","team":"payments","turn":1},"hold":"hold-1","spent_at":null}','{}','revoked:0:eeee2222ffff3333:1:','36a58e990d75cd68c2ef0c554cd60529fc30f9bf4e0cf9fad46c409b6996b4e2','55d083d5544796dd43f1aef762e4719c23905ac40a5759dce2e15e7241392f15');
INSERT INTO "events" VALUES(17,1772456436000000,'removed',1,'payments','111111111111','eeee2222ffff3333',1,'user/cyd','fix','{"cause":"revoked","confirmed_at":"2026-03-02T13:00:36Z","grant":{"account":"111111111111","id":"eeee2222ffff3333","policy":"fix","principal":"user/Cyd","team":"payments","turn":1},"kept_for":[],"lateness_us":2000000,"outcome":"answered","requests":["req-9"]}','{}','removed:0:eeee2222ffff3333:1:','55d083d5544796dd43f1aef762e4719c23905ac40a5759dce2e15e7241392f15','fde63819d90dae3bd172be254a60dec28293f9c32a41de3447d80dd93d5c057a');
INSERT INTO "events" VALUES(18,1772467200720000,'removed',1,'payments','111111111111','aaaa2222bbbb3333',1,'user/ana','fix','{"cause":"expired","confirmed_at":"2026-03-02T16:00:00.720000Z","grant":{"account":"111111111111","id":"aaaa2222bbbb3333","policy":"fix","principal":"user/ana","team":"payments","turn":1},"kept_for":[],"lateness_us":400000,"outcome":"answered","requests":["req-2"]}','{"pass_id":"p2","replica":"worker-1"}','removed:0:aaaa2222bbbb3333:1:','fde63819d90dae3bd172be254a60dec28293f9c32a41de3447d80dd93d5c057a','a41a421c0fc87cb7434ed3911f91ecb0cb845e69e37c3a80d32b423c32d08cbe');
INSERT INTO "events" VALUES(19,1772470800000000,'ingested',1,NULL,NULL,NULL,NULL,NULL,NULL,'{"accounts":2,"commit":"1a2b3c4d5e6f70819203a4b5c6d7e8f901234567","dirty":false,"granted":4,"policies":1,"revoked":0,"teams":["payments"]}','{"commit":"1a2b3c4d5e6f70819203a4b5c6d7e8f901234567"}','ingested:0:::::payments','a41a421c0fc87cb7434ed3911f91ecb0cb845e69e37c3a80d32b423c32d08cbe','b85f835860eb455c9aee006d6d657652d83ad11af8edaddd6b833345ccb5a7ae');
CREATE TABLE grants (
	grant_id TEXT NOT NULL, 
	turn INTEGER NOT NULL, 
	team TEXT NOT NULL, 
	environment TEXT NOT NULL, 
	account TEXT NOT NULL, 
	principal TEXT NOT NULL, 
	principal_key TEXT NOT NULL, 
	policy TEXT NOT NULL, 
	starts_at BIGINT NOT NULL, 
	ends_at BIGINT NOT NULL, 
	object TEXT, 
	continues_id TEXT, 
	continues_turn INTEGER, 
	ticket TEXT, 
	description TEXT, 
	granted_position BIGINT NOT NULL, 
	granted_at BIGINT NOT NULL, 
	revoked_position BIGINT, 
	revoked_at BIGINT, 
	revoked_cause TEXT, 
	hold TEXT, 
	spent_at BIGINT, 
	applied_position BIGINT, 
	applied_at BIGINT, 
	applied_recorded_at BIGINT, 
	written_position BIGINT, 
	policy_position BIGINT, 
	enforcement TEXT, 
	made TEXT NOT NULL, 
	closed_position BIGINT, 
	closed_at BIGINT, 
	closed_recorded_at BIGINT, 
	closed_how TEXT, 
	lateness_us BIGINT, 
	trouble TEXT, 
	trouble_position BIGINT, 
	trouble_at BIGINT, 
	trouble_recorded_at BIGINT, 
	trouble_code TEXT, 
	trouble_message TEXT, 
	access_from BIGINT NOT NULL, 
	access_to BIGINT NOT NULL, principal_id TEXT, 
	CONSTRAINT pk_grants PRIMARY KEY (grant_id, turn)
);
INSERT INTO "grants" VALUES('aaaa2222bbbb3333',1,'payments','prod','111111111111','user/ana','user/ana','fix',1772452800000000,1772467200000000,'iam-ledger-aaaa2222bbbb3333',NULL,NULL,'OPS-1234','Répare “tout” – ☃',5,1772452872000000,NULL,NULL,NULL,NULL,NULL,9,1772453160000000,1772453160000000,9,1,'aws','{"made":[{"kind":"inline","name":"iam-ledger-aaaa2222bbbb3333","sha256":"0000000000000000000000000000000000000000000000000000000000000000"}],"pins":[]}',18,1772467200720000,1772467200720000,'answered',400000,NULL,NULL,NULL,NULL,NULL,NULL,1772452872000000,1772467200000000,NULL);
INSERT INTO "grants" VALUES('cccc2222dddd3333',1,'payments','prod','111111111111','role/CI-deployer','role/ci-deployer','look',1772452800000000,4611686018427387904,NULL,NULL,NULL,NULL,NULL,6,1772452872000000,NULL,NULL,NULL,NULL,NULL,10,1772453160000000,1772453160000000,10,1,NULL,'{"made":[{"kind":"attachment","name":"arn:aws:iam::aws:policy/ReadOnlyAccess","sha256":null}],"pins":[]}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1772452872000000,4611686018427387904,NULL);
INSERT INTO "grants" VALUES('eeee2222ffff3333',1,'payments','prod','111111111111','user/Cyd','user/cyd','fix',1772452800000000,1772474400000000,'iam-ledger-eeee2222ffff3333',NULL,NULL,NULL,NULL,7,1772452908000000,16,1772456400000000,'operator','hold-1',NULL,11,1772453520000000,1772453520000000,11,1,'aws','{"made":[{"kind":"inline","name":"iam-ledger-eeee2222ffff3333","sha256":"0000000000000000000000000000000000000000000000000000000000000000"}],"pins":[]}',17,1772456436000000,1772456436000000,'answered',2000000,NULL,NULL,NULL,NULL,NULL,NULL,1772452908000000,1772456436000000,NULL);
INSERT INTO "grants" VALUES('gggg2222hhhh3333',1,'payments','prod','111111111111','user/dan','user/dan','fix',1772452800000000,1772481600000000,'iam-ledger-gggg2222hhhh3333',NULL,NULL,NULL,NULL,8,1772452908000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,'{"made":[],"pins":[]}',NULL,NULL,NULL,NULL,NULL,'refused',12,1772453520000000,1772453520000000,'TooLarge','2,100 of 2,048 characters',1772452908000000,1772452908000000,NULL);
CREATE TABLE latest (
	topic TEXT NOT NULL, 
	account TEXT NOT NULL, 
	team TEXT NOT NULL, 
	name TEXT NOT NULL, 
	position BIGINT NOT NULL, 
	CONSTRAINT pk_latest PRIMARY KEY (topic, account, team, name)
);
INSERT INTO "latest" VALUES('account','111111111111','payments','prod',1);
INSERT INTO "latest" VALUES('account','222222222222','payments','dev',2);
INSERT INTO "latest" VALUES('settings','','','',3);
INSERT INTO "latest" VALUES('policy','','payments','fix',4);
INSERT INTO "latest" VALUES('stuck','111111111111','','',14);
INSERT INTO "latest" VALUES('hold','','','hold-1',15);
INSERT INTO "latest" VALUES('ingested','','payments','',19);
CREATE TABLE sources (
	arn TEXT NOT NULL, 
	version TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	document TEXT NOT NULL, 
	seen_at BIGINT NOT NULL, 
	CONSTRAINT pk_sources PRIMARY KEY (arn, version)
);
INSERT INTO "sources" VALUES('arn:aws:iam::aws:policy/AdministratorAccess','v1','113496d8f8dd96a266c613bbe29e56385781f6c9323dab4dc33b9b64e27750e8','{"Statement":[{"Action":"*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}',1772453160000000);
CREATE INDEX ix_events_account_position ON events (account, position);
CREATE INDEX ix_events_grant_id_position ON events (grant_id, position);
CREATE INDEX ix_events_policy_position ON events (policy, position);
CREATE INDEX ix_events_principal_position ON events (principal, position);
CREATE INDEX ix_grants_account_access_to_access_from ON grants (account, access_to, access_from);
CREATE INDEX ix_grants_account_object ON grants (account, object);
CREATE INDEX ix_grants_next_ends ON grants (ends_at) WHERE closed_position IS NULL;
CREATE INDEX ix_grants_open ON grants (account, ends_at) WHERE closed_position IS NULL;
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: UPDATE refused'); END;
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: DELETE refused'); END;
CREATE TRIGGER events_keep_chain BEFORE INSERT ON events WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events) OR NEW.prev_hash IS NOT coalesce( (SELECT hash FROM events ORDER BY position DESC LIMIT 1), '0000000000000000000000000000000000000000000000000000000000000000') BEGIN SELECT RAISE(ABORT, 'the ledger is a chain: this row is not its next'); END;
CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE dedup_key = NEW.dedup_key) BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: this event stands already'); END;
CREATE INDEX ix_grants_principal_key_access_to_access_from ON grants (principal_key, access_to, access_from);
CREATE INDEX ix_grants_team_access_to_access_from ON grants (team, access_to, access_from);
CREATE INDEX ix_grants_policy_access_to_access_from ON grants (policy, access_to, access_from);
CREATE INDEX ix_grants_access_to_access_from ON grants (access_to, access_from);
CREATE INDEX ix_grants_declared ON grants (ends_at) WHERE revoked_position IS NULL;
COMMIT;
