// dom.js: the two queries that every script makes.
export const $ = (query, root = document) => root.querySelector(query);
export const all = (query, root = document) => [...root.querySelectorAll(query)];
