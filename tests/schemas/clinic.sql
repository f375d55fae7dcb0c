-- A clinic's records after the resources of FHIR R4, in the mixed-case names that ORMs such as Prisma give them.
-- The tenant is the organisation; observations are partitioned by time and audit events by hash (that part is ours).
CREATE TYPE "EncounterStatus" AS ENUM ('planned', 'in-progress', 'finished');
CREATE TABLE "CodeSystem" (id uuid PRIMARY KEY, url text NOT NULL UNIQUE, name text NOT NULL);
CREATE TABLE "CodeSystemConcept" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "codeSystemId" uuid NOT NULL REFERENCES "CodeSystem" (id), code text NOT NULL, display text NOT NULL, UNIQUE ("codeSystemId", code));
CREATE TABLE "Medication" (id uuid PRIMARY KEY, code text NOT NULL UNIQUE, form text);
CREATE TABLE "Organization" (id uuid PRIMARY KEY, name text NOT NULL, "npiNumber" text UNIQUE, active boolean NOT NULL DEFAULT true);
CREATE TABLE "Location" (id uuid PRIMARY KEY, "managingOrganizationId" uuid NOT NULL REFERENCES "Organization" (id), name text NOT NULL);
CREATE TABLE "Practitioner" (id uuid PRIMARY KEY, "familyName" text NOT NULL, email text NOT NULL UNIQUE);
CREATE TABLE "PractitionerRole" (id uuid PRIMARY KEY, "practitionerId" uuid NOT NULL REFERENCES "Practitioner" (id),
    "organizationId" uuid NOT NULL REFERENCES "Organization" (id), "roleCode" text NOT NULL);
CREATE TABLE "Schedule" (id uuid PRIMARY KEY, "actorRoleId" uuid NOT NULL REFERENCES "PractitionerRole" (id), "planningHorizon" tstzrange);
CREATE TABLE "Slot" (id uuid PRIMARY KEY, "scheduleId" uuid NOT NULL REFERENCES "Schedule" (id), "startsAt" timestamptz NOT NULL);
CREATE TABLE "Patient" (id uuid PRIMARY KEY, "managingOrganizationId" uuid REFERENCES "Organization" (id),
    "medicalRecordNumber" text NOT NULL UNIQUE, "birthDate" date);
CREATE TABLE "Appointment" (id uuid PRIMARY KEY, "slotId" uuid REFERENCES "Slot" (id), description text);
CREATE TABLE "AppointmentParticipant" ("appointmentId" uuid NOT NULL REFERENCES "Appointment" (id),
    "patientId" uuid NOT NULL REFERENCES "Patient" (id), status text NOT NULL, PRIMARY KEY ("appointmentId", "patientId"));
CREATE TABLE "Encounter" (id uuid PRIMARY KEY, status "EncounterStatus" NOT NULL, "subjectId" uuid NOT NULL REFERENCES "Patient" (id),
    "serviceProviderId" uuid NOT NULL REFERENCES "Organization" (id));
CREATE TABLE "Condition" (id uuid PRIMARY KEY, "encounterId" uuid NOT NULL REFERENCES "Encounter" (id), code text NOT NULL);
CREATE TABLE "Observation" (id uuid NOT NULL, "effectiveAt" timestamptz NOT NULL, "encounterId" uuid NOT NULL REFERENCES "Encounter" (id),
    code text NOT NULL, value double precision, PRIMARY KEY (id, "effectiveAt")) PARTITION BY RANGE ("effectiveAt");
CREATE TABLE "Observation_2026_01" PARTITION OF "Observation" FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE "Observation_2026_02" PARTITION OF "Observation" FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE "ObservationComponent" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "observationId" uuid NOT NULL,
    "observationAt" timestamptz NOT NULL, code text NOT NULL, value double precision,
    FOREIGN KEY ("observationId", "observationAt") REFERENCES "Observation" (id, "effectiveAt"));
CREATE TABLE "MedicationRequest" (id uuid PRIMARY KEY, "medicationId" uuid NOT NULL REFERENCES "Medication" (id),
    "encounterId" uuid NOT NULL REFERENCES "Encounter" (id), dosage text);
CREATE TABLE "Coverage" (id uuid PRIMARY KEY, "beneficiaryId" uuid NOT NULL REFERENCES "Patient" (id), "policyHolder" text);
CREATE TABLE "Claim" (id uuid PRIMARY KEY, "coverageId" uuid NOT NULL REFERENCES "Coverage" (id), "claimNumber" text NOT NULL UNIQUE);
CREATE TABLE "ClaimItem" ("claimId" uuid NOT NULL REFERENCES "Claim" (id), sequence integer NOT NULL, net numeric NOT NULL,
    PRIMARY KEY ("claimId", sequence));
CREATE TABLE "DocumentReference" (id uuid PRIMARY KEY, "subjectId" uuid REFERENCES "Patient" (id), url text NOT NULL, "shareToken" text NOT NULL UNIQUE);
CREATE TABLE "AuditEvent" (id uuid NOT NULL, detail jsonb NOT NULL, "recordedAt" timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)) PARTITION BY HASH (id);
CREATE TABLE "AuditEvent_p0" PARTITION OF "AuditEvent" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "AuditEvent_p1" PARTITION OF "AuditEvent" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE "_prisma_migrations" (id varchar(36) PRIMARY KEY, migration_name varchar(255) NOT NULL);

CREATE FUNCTION pg_temp.u(text, integer) RETURNS uuid LANGUAGE sql AS
    $$ SELECT overlay(overlay(md5($1 || $2) PLACING '4' FROM 13) PLACING 'a' FROM 17)::uuid $$;
INSERT INTO "CodeSystem" SELECT pg_temp.u('system', n), 'http://example.org/' || n, 'System ' || n FROM generate_series(1, 2) AS n;
INSERT INTO "CodeSystemConcept" ("codeSystemId", code, display) SELECT pg_temp.u('system', n % 2 + 1), 'C' || n, 'Concept' FROM generate_series(1, 9) AS n;
INSERT INTO "Medication" SELECT pg_temp.u('medication', n), 'M' || n, 'tablet' FROM generate_series(1, 5) AS n;
INSERT INTO "Organization" SELECT pg_temp.u('org', n), 'Clinic ' || n, '10000' || n FROM generate_series(1, 3) AS n;
INSERT INTO "Location" SELECT pg_temp.u('location', n), pg_temp.u('org', n % 3 + 1), 'Ward ' || n FROM generate_series(1, 6) AS n;
INSERT INTO "Practitioner" SELECT pg_temp.u('practitioner', n), 'Doctor ' || n, 'd' || n || '@example.org' FROM generate_series(1, 5) AS n;
INSERT INTO "PractitionerRole" SELECT pg_temp.u('role', n * 10 + o), pg_temp.u('practitioner', n), pg_temp.u('org', o), 'doctor'
    FROM generate_series(1, 5) AS n, generate_series(1, 3) AS o WHERE (n + o) % 3 > 0;
INSERT INTO "Schedule" SELECT pg_temp.u('schedule' || id, 0), id FROM "PractitionerRole";
INSERT INTO "Slot" SELECT pg_temp.u('slot' || id, n), id, now() FROM "Schedule", generate_series(1, 2) AS n;
INSERT INTO "Patient" SELECT pg_temp.u('patient', n), CASE WHEN n % 10 > 0 THEN pg_temp.u('org', n % 3 + 1) END, 'MRN' || n FROM generate_series(1, 30) AS n;
INSERT INTO "Appointment" SELECT pg_temp.u('appointment' || id, 0), id FROM "Slot";
INSERT INTO "AppointmentParticipant"
    SELECT a.id, (SELECT p.id FROM "Patient" AS p WHERE p."managingOrganizationId" = r."organizationId" ORDER BY md5(p.id::text || a.id) LIMIT 1), 'accepted'
    FROM "Appointment" AS a JOIN "Slot" AS s ON s.id = a."slotId" JOIN "Schedule" AS c ON c.id = s."scheduleId" JOIN "PractitionerRole" AS r ON r.id = c."actorRoleId";
INSERT INTO "Encounter" SELECT pg_temp.u('encounter', n), 'finished', pg_temp.u('patient', n % 30 + 1), pg_temp.u('org', (n % 30 + 1) % 3 + 1) FROM generate_series(1, 40) AS n;
INSERT INTO "Condition" SELECT pg_temp.u('condition', n), pg_temp.u('encounter', n), 'C' || n % 9 + 1 FROM generate_series(1, 40) AS n;
INSERT INTO "Observation" SELECT pg_temp.u('observation', n), '2026-01-02'::timestamptz + n % 50 * interval '1 day', pg_temp.u('encounter', n % 40 + 1), 'C' || n % 9 + 1, n FROM generate_series(1, 80) AS n;
INSERT INTO "ObservationComponent" ("observationId", "observationAt", code) SELECT id, "effectiveAt", 'C1' FROM "Observation";
INSERT INTO "MedicationRequest" SELECT pg_temp.u('request', n), pg_temp.u('medication', n % 5 + 1), pg_temp.u('encounter', n % 40 + 1) FROM generate_series(1, 30) AS n;
INSERT INTO "Coverage" SELECT pg_temp.u('coverage', n), pg_temp.u('patient', n) FROM generate_series(1, 20) AS n WHERE n % 10 > 0;
INSERT INTO "Claim" SELECT pg_temp.u('claim' || id, 0), id, 'CL-' || row_number() OVER (ORDER BY id) FROM "Coverage";
INSERT INTO "ClaimItem" SELECT id, n, n * 10 FROM "Claim", generate_series(1, 2) AS n;
INSERT INTO "DocumentReference" SELECT pg_temp.u('document', n), pg_temp.u('patient', n), 'https://files.example.org/' || n, md5('share' || n) FROM generate_series(1, 12) AS n WHERE n <> 10;
INSERT INTO "AuditEvent" SELECT pg_temp.u('event', n), jsonb_build_object('actor', 'd1', 'source', jsonb_build_object('organization', pg_temp.u('org', n % 3 + 1))) FROM generate_series(1, 24) AS n;
INSERT INTO "_prisma_migrations" VALUES ('1', 'init');
