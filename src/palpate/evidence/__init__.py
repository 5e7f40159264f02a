"""What a reviewer files of a run: report, figures, tables, gates as JUnit, traceability, and a test report to sign."""
