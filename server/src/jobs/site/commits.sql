-- Whole commits of a partition from a place on, within a number of bytes and of rows that are looked
-- at. The last commit of these rows may have more of them, so it is left out unless it is the first.
WITH listed AS MATERIALIZED (
    SELECT day, first, number, next, length(body) AS bytes FROM job_chunks
    WHERE partition = $1 AND first >= $2 ORDER BY first, number LIMIT $4
), commits AS (
    SELECT first, sum(sum(bytes)) OVER (ORDER BY first) AS bytes FROM listed GROUP BY first
)
SELECT first, next, body FROM job_chunks
WHERE partition = $1 AND first >= $2 AND first <= (
    SELECT coalesce(max(first) FILTER (WHERE bytes <= $3), min(first)) FROM commits
    WHERE first < (SELECT max(first) FROM listed) OR (SELECT count(*) FROM listed) < $4
        OR first = (SELECT min(first) FROM listed)
) ORDER BY first, number
