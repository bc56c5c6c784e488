namespace RbeMl.MLNet.Columns;

/// <summary>Checks the names of columns when an estimator is made or a component read.</summary>
internal static class ColumnName
{
    /// <summary>Refuses a name that is null or empty.</summary>
    /// <param name="setting">The setting that holds it.</param>
    /// <param name="name">The name.</param>
    /// <exception cref="InvalidSettingException">It is null or empty.</exception>
    public static void Check(string setting, string? name)
    {
        if (string.IsNullOrEmpty(name)) throw new InvalidSettingException(setting, name is null ? "null" : "\"\"", "give the name of a column.");
    }

    /// <summary>Reads the name of a column that a component was saved with.</summary>
    /// <exception cref="InvalidSettingException">It is empty.</exception>
    public static string Read(BinaryReader reader, string setting)
    {
        string name = reader.ReadString();
        Check(setting, name);
        return name;
    }

    /// <summary>Reads the name of a column that need not be there: null for none.</summary>
    /// <exception cref="InvalidSettingException">It is empty.</exception>
    public static string? ReadOptional(BinaryReader reader, string setting) => reader.ReadBoolean() ? Read(reader, setting) : null;
}
