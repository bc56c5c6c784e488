using System.IO.Compression;
using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>A saved model is the model.</summary>
internal static class SaveChecks
{
    /// <summary>Loaded in a new context of another seed: the same input and output schema, the same values.</summary>
    public static void Loaded(WorkoutContext c)
    {
        ITransformer loaded = Load(c, Save(c, c.Transformer), out DataViewSchema input);
        CompareInputs(c, input);
        SchemaChecks.CompareSchemas(c, c.View().Schema, loaded.Transform(c.Valid).Schema, "saved against loaded");
        SchemaChecks.CompareSchemas(c, c.View().Schema, loaded.GetOutputSchema(c.Valid.Schema), "saved against loaded");
        c.Expect(loaded.IsRowToRowMapper == c.Transformer.IsRowToRowMapper, "only one of saved and loaded is a row-to-row mapper");
        c.ExpectRows(ViewSnapshot.Of(loaded.Transform(c.Valid)).Rows, "loaded");
    }

    /// <summary>Saving twice writes the same entries of the same bytes.</summary>
    public static void Twice(WorkoutContext c)
    {
        Dictionary<string, byte[]> first = Entries(Save(c, c.Transformer)), second = Entries(Save(c, c.Transformer));
        c.Expect(first.Keys.Order().SequenceEqual(second.Keys.Order()),
            $"saved twice, the entries differ: {string.Join(", ", first.Keys)} and {string.Join(", ", second.Keys)}");
        foreach ((string name, byte[] bytes) in first)
            c.Expect(bytes.AsSpan().SequenceEqual(second[name]), $"entry {name} differs when saved twice ({bytes.Length}, {second[name].Length} bytes)");
    }

    /// <summary>A loaded transformer, saved and loaded again, still gives the same values.</summary>
    public static void Again(WorkoutContext c)
    {
        ITransformer loaded = Load(c, Save(c, c.Transformer), out _);
        ITransformer again = Load(c, Save(c, loaded), out _);
        SchemaChecks.CompareSchemas(c, c.View().Schema, again.Transform(c.Valid).Schema, "saved against saved again");
        c.ExpectRows(ViewSnapshot.Of(again.Transform(c.Valid)).Rows, "saved again");
    }

    /// <summary>A fresh process that loads the model gives the same visible columns and values.</summary>
    public static void Child(WorkoutContext c)
    {
        if (!c.Options.ChildProcess) throw new CheckSkippedException("switched off");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("workout");
        try
        {
            (string model, string data, string output) = (Path("model.zip"), Path("data.idv"), Path("output.idv"));
            File.WriteAllBytes(model, Save(c, c.Transformer));
            using (FileStream file = File.Create(data)) c.Ml.Data.SaveAsBinary(c.Valid, file);
            ChildProcess.Transform(model, data, output, c.Options.Prepare);
            ViewSnapshot actual = ViewSnapshot.Of(c.Ml.Data.LoadFromBinary(output));
            CompareVisible(c, actual);
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        string Path(string name) => System.IO.Path.Combine(folder.FullName, name);
    }

    private static byte[] Save(WorkoutContext c, ITransformer transformer)
    {
        using var stream = new MemoryStream();
        c.Ml.Model.Save(transformer, c.Valid.Schema, stream);
        return stream.ToArray();
    }

    private static ITransformer Load(WorkoutContext c, byte[] zip, out DataViewSchema input)
    {
        var fresh = new MLContext(seed: 987);
        c.Options.Prepare(fresh);
        return fresh.Model.Load(new MemoryStream(zip), out input);
    }

    private static Dictionary<string, byte[]> Entries(byte[] zip)
    {
        using var archive = new ZipArchive(new MemoryStream(zip));
        return archive.Entries.ToDictionary(entry => entry.FullName, entry =>
        {
            using Stream stream = entry.Open();
            using var bytes = new MemoryStream();
            stream.CopyTo(bytes);
            return bytes.ToArray();
        });
    }

    private static void CompareInputs(WorkoutContext c, DataViewSchema input)
    {
        DataViewSchema.Column[] visible = [.. c.Valid.Schema.Where(column => !column.IsHidden)];
        c.Expect(visible.Select(column => column.Name).SequenceEqual(input.Select(column => column.Name)), "the loaded input schema has other columns");
        foreach (DataViewSchema.Column column in visible)
            c.Expect(column.Type.Equals(input[column.Name].Type), $"input type {column.Type} became {input[column.Name].Type}", column.Name);
    }

    private static void CompareVisible(WorkoutContext c, ViewSnapshot actual)
    {
        DataViewSchema.Column[] visible = [.. c.Serial.Schema.Where(column => !column.IsHidden)];
        c.Expect(visible.Length == actual.Schema.Count, $"the child process gave {actual.Schema.Count} columns instead of {visible.Length}");
        c.Expect(actual.Rows.Count == c.Serial.Rows.Count, $"the child process gave {actual.Rows.Count} rows instead of {c.Serial.Rows.Count}");
        foreach (DataViewSchema.Column column in visible)
        {
            DataViewSchema.Column? other = actual.Schema.GetColumnOrNull(column.Name);
            c.Expect(other is not null, "missing in the child process", column.Name);
            c.Expect(column.Type.Equals(other!.Value.Type), $"{column.Type} became {other.Value.Type} in the child process", column.Name);
            for (int r = 0; r < actual.Rows.Count; r++) c.ExpectCell(r, column, actual[r, other.Value], "child process");
        }
    }
}
