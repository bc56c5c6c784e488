namespace RbeMl.MLNet.Training;

/// <summary>The vocabulary of a new model for token ids whose number nobody named.</summary>
internal static class NewVocabulary
{
    // Ids up to here are taken as they are; above, a stray id would make a table of mostly unused rows.
    private const int Plain = 65_536, MostPerId = 16;

    /// <summary>One more than the largest id.</summary>
    /// <param name="column">The column, for messages.</param>
    /// <param name="rows">The ids; null or empty for rows without.</param>
    /// <exception cref="InvalidSettingException">The largest id is far beyond the number of different ones.</exception>
    public static int Of(string column, IEnumerable<int[]?> rows)
    {
        HashSet<int> different = [];
        int largest = 0;
        foreach (int[] ids in rows.OfType<int[]>())
        {
            foreach (int id in ids)
            {
                different.Add(id);
                largest = Math.Max(largest, id);
            }
        }

        if (largest < Plain || (largest < int.MaxValue && largest < (long)MostPerId * different.Count)) return largest + 1;
        throw new InvalidSettingException(
            nameof(FineTuningOptions.VocabularySize), "null",
            $"column '{column}' has the token id {largest}, but {different.Count} different ones only; a new model would have a row for "
            + $"every id up to it. Give {nameof(FineTuningOptions.VocabularySize)} (rows with larger ids are left out), or number the tokens from 0.");
    }
}
