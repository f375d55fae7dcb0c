-- An issue tracker after the documented database of Redmine: Rails conventions, no foreign keys, polymorphic columns,
-- and wiki texts and file changes whose project is reached only through three joins.
CREATE TABLE projects (id serial PRIMARY KEY, name varchar NOT NULL, identifier varchar NOT NULL UNIQUE, parent_id integer,
    status integer NOT NULL DEFAULT 1, created_on timestamp NOT NULL DEFAULT now());
CREATE TABLE users (id serial PRIMARY KEY, login varchar NOT NULL, admin boolean NOT NULL DEFAULT false, type varchar);
CREATE TABLE email_addresses (id serial PRIMARY KEY, user_id integer NOT NULL, address varchar NOT NULL);
CREATE TABLE tokens (id serial PRIMARY KEY, user_id integer NOT NULL, action varchar NOT NULL, value varchar(40) NOT NULL UNIQUE);
CREATE TABLE roles (id serial PRIMARY KEY, name varchar NOT NULL, permissions text);
CREATE TABLE members (id serial PRIMARY KEY, user_id integer NOT NULL, project_id integer NOT NULL, UNIQUE (user_id, project_id));
CREATE TABLE member_roles (id serial PRIMARY KEY, member_id integer NOT NULL, role_id integer NOT NULL);
CREATE TABLE trackers (id serial PRIMARY KEY, name varchar NOT NULL);
CREATE TABLE projects_trackers (project_id integer NOT NULL, tracker_id integer NOT NULL, UNIQUE (project_id, tracker_id));
CREATE TABLE issue_statuses (id serial PRIMARY KEY, name varchar NOT NULL, is_closed boolean NOT NULL DEFAULT false);
CREATE TABLE workflows (id serial PRIMARY KEY, tracker_id integer NOT NULL, role_id integer NOT NULL, old_status_id integer NOT NULL,
    new_status_id integer NOT NULL);
CREATE TABLE versions (id serial PRIMARY KEY, project_id integer NOT NULL, name varchar NOT NULL);
CREATE TABLE issue_categories (id serial PRIMARY KEY, project_id integer NOT NULL, name varchar NOT NULL);
CREATE TABLE issues (id serial PRIMARY KEY, tracker_id integer NOT NULL, project_id integer NOT NULL, subject varchar NOT NULL,
    status_id integer NOT NULL, category_id integer, fixed_version_id integer, author_id integer NOT NULL,
    assigned_to_id integer, parent_id integer);
CREATE TABLE issue_relations (id serial PRIMARY KEY, issue_from_id integer NOT NULL, issue_to_id integer NOT NULL,
    relation_type varchar NOT NULL, UNIQUE (issue_from_id, issue_to_id));
CREATE TABLE journals (id serial PRIMARY KEY, journalized_id integer NOT NULL, journalized_type varchar(30) NOT NULL,
    user_id integer NOT NULL, notes text);
CREATE TABLE journal_details (id serial PRIMARY KEY, journal_id integer NOT NULL, property varchar(30) NOT NULL, value text);
CREATE TABLE time_entries (id serial PRIMARY KEY, project_id integer NOT NULL, user_id integer NOT NULL, issue_id integer,
    hours float NOT NULL);
CREATE TABLE wikis (id serial PRIMARY KEY, project_id integer NOT NULL, start_page varchar NOT NULL);
CREATE TABLE wiki_pages (id serial PRIMARY KEY, wiki_id integer NOT NULL, title varchar NOT NULL, UNIQUE (wiki_id, title));
CREATE TABLE wiki_contents (id serial PRIMARY KEY, page_id integer NOT NULL, author_id integer, text text, version integer NOT NULL);
CREATE TABLE wiki_content_versions (id serial PRIMARY KEY, wiki_content_id integer NOT NULL, author_id integer, data bytea,
    version integer NOT NULL);
CREATE TABLE boards (id serial PRIMARY KEY, project_id integer NOT NULL, name varchar NOT NULL);
CREATE TABLE messages (id serial PRIMARY KEY, board_id integer NOT NULL, parent_id integer, subject varchar NOT NULL, author_id integer);
CREATE TABLE repositories (id serial PRIMARY KEY, project_id integer NOT NULL, url varchar NOT NULL);
CREATE TABLE changesets (id serial PRIMARY KEY, repository_id integer NOT NULL, revision varchar NOT NULL, committer varchar,
    UNIQUE (repository_id, revision));
CREATE TABLE changes (id serial PRIMARY KEY, changeset_id integer NOT NULL, action varchar(1) NOT NULL, path text NOT NULL);
CREATE TABLE attachments (id serial PRIMARY KEY, container_id integer, container_type varchar(30), filename varchar NOT NULL,
    digest varchar(64) NOT NULL);
CREATE TABLE watchers (id serial PRIMARY KEY, watchable_type varchar NOT NULL, watchable_id integer NOT NULL, user_id integer);
CREATE TABLE settings (id serial PRIMARY KEY, name varchar NOT NULL, value text);
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
CREATE TABLE ar_internal_metadata (key varchar PRIMARY KEY, value varchar);

INSERT INTO projects (name, identifier) SELECT 'Project ' || n, 'project-' || n FROM generate_series(1, 4) AS n;
INSERT INTO users (login, type) SELECT 'user' || n, 'User' FROM generate_series(1, 6) AS n;
INSERT INTO email_addresses (user_id, address) SELECT id, login || '@example.org' FROM users;
INSERT INTO tokens (user_id, action, value) SELECT id, 'session', md5('token ' || id) || 'abcdef01' FROM users;
INSERT INTO roles (name) VALUES ('Manager'), ('Developer'), ('Reporter');
INSERT INTO members (user_id, project_id) SELECT u, p FROM generate_series(1, 6) AS u, generate_series(1, 4) AS p WHERE (u + p) % 3 > 0;
INSERT INTO member_roles (member_id, role_id) SELECT id, id % 3 + 1 FROM members;
INSERT INTO trackers (name) VALUES ('Bug'), ('Feature');
INSERT INTO projects_trackers SELECT p, t FROM generate_series(1, 4) AS p, generate_series(1, 2) AS t;
INSERT INTO issue_statuses (name) VALUES ('New'), ('Open'), ('Closed');
INSERT INTO workflows (tracker_id, role_id, old_status_id, new_status_id)
    SELECT t, r, s, s % 3 + 1 FROM generate_series(1, 2) AS t, generate_series(1, 3) AS r, generate_series(1, 3) AS s;
INSERT INTO versions (project_id, name) SELECT n % 4 + 1, '1.' || n FROM generate_series(1, 8) AS n;
INSERT INTO issue_categories (project_id, name) SELECT n % 4 + 1, 'Category ' || n FROM generate_series(1, 8) AS n;
INSERT INTO issues (tracker_id, project_id, subject, status_id, category_id, fixed_version_id, author_id)
    SELECT n % 2 + 1, n % 4 + 1, 'Issue ' || n, n % 3 + 1, CASE WHEN n % 2 = 0 THEN n % 4 + 4 END,
        CASE WHEN n % 3 > 0 THEN (n - 1) % 8 + 1 END, n % 6 + 1 FROM generate_series(1, 40) AS n;
UPDATE issues SET category_id = (SELECT min(id) FROM issue_categories AS c WHERE c.project_id = issues.project_id) WHERE category_id IS NOT NULL;
INSERT INTO issue_relations (issue_from_id, issue_to_id, relation_type)
    SELECT n, n + 4, 'relates' FROM generate_series(1, 30, 3) AS n;
INSERT INTO journals (journalized_id, journalized_type, user_id) SELECT n, 'Issue', n % 6 + 1 FROM generate_series(1, 40) AS n, generate_series(1, 2);
INSERT INTO journal_details (journal_id, property) SELECT id, 'attr' FROM journals WHERE id % 4 > 0;
INSERT INTO time_entries (project_id, user_id, issue_id, hours)
    SELECT project_id, author_id, CASE WHEN id % 5 > 0 THEN id END, 1.5 FROM issues;
INSERT INTO wikis (project_id, start_page) SELECT n, 'Wiki' FROM generate_series(1, 4) AS n;
INSERT INTO wiki_pages (wiki_id, title) SELECT w, 'Page ' || n FROM generate_series(1, 4) AS w, generate_series(1, 5) AS n;
INSERT INTO wiki_contents (page_id, author_id, version) SELECT id, id % 6 + 1, 2 FROM wiki_pages ORDER BY id DESC;
INSERT INTO wiki_content_versions (wiki_content_id, version) SELECT id, v FROM wiki_contents, generate_series(1, 2) AS v;
INSERT INTO boards (project_id, name) SELECT n % 4 + 1, 'Forum ' || n FROM generate_series(1, 6) AS n;
INSERT INTO messages (board_id, subject) SELECT n % 6 + 1, 'Message ' || n FROM generate_series(1, 24) AS n;
INSERT INTO repositories (project_id, url) SELECT n, 'git://example.org/' || n FROM generate_series(1, 4) AS n;
INSERT INTO changesets (repository_id, revision) SELECT n % 4 + 1, md5(n::text) FROM generate_series(1, 20) AS n;
INSERT INTO changes (changeset_id, action, path) SELECT id, 'M', '/src/' || id FROM changesets, generate_series(1, 2);
INSERT INTO attachments (container_id, container_type, filename, digest)
    SELECT n % 20 + 1, CASE WHEN n % 2 = 0 THEN 'Issue' ELSE 'WikiPage' END, 'file' || n || '.png', md5('file ' || n) FROM generate_series(1, 20) AS n;
INSERT INTO watchers (watchable_type, watchable_id, user_id) SELECT CASE WHEN n % 2 = 0 THEN 'Issue' ELSE 'Board' END, n % 6 + 1, n % 6 + 1 FROM generate_series(1, 12) AS n;
INSERT INTO settings (name, value) VALUES ('app_title', 'Redmine'), ('per_page_options', '25,50,100');
INSERT INTO schema_migrations VALUES ('1'), ('2');
INSERT INTO ar_internal_metadata VALUES ('environment', 'production');
