DROP TABLE code_talks;
