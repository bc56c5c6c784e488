using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Tests.LanguageModels;
using RbeMl.Tests.Files;

namespace RbeMl.MLNet.Tests.Saving;

/// <summary>A model file is written as a whole or not at all.</summary>
public sealed class SaveTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly MLContext _ml = new(1);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void WhatIsSavedIsLoaded()
    {
        IDataView data = Verses.View(_ml);
        ITransformer model = _ml.Transforms.CopyColumns("Copy", "Text").Append(_ml.Rbe.LanguageModel(Verses.Options(o => o.Steps = 1))).Fit(data);
        string path = _folder.Write("model.zip", "old");
        _ml.Rbe.Save(model, data.Schema, path);
        ITransformer loaded = new MLContext().UseRbe().Model.Load(path, out DataViewSchema schema);
        Assert.Equal(["Text"], schema.Select(c => c.Name));
        Assert.Equal(model.Perplexities(data), loaded.Perplexities(data));
        using FileStream whole = File.Create(_folder.File("plain.zip"));
        _ml.Model.Save(model, data.Schema, whole);
        Assert.Equal(whole.Length, new FileInfo(path).Length);

        _ml.Rbe.Save(model, null, path);
        Assert.Equal(model.Perplexities(data), new MLContext().UseRbe().Model.Load(path, out schema).Perplexities(data));
        Assert.Null(schema);
    }

    [Fact]
    public void AFailingSaveLeavesTheOldFileWhole()
    {
        IDataView data = Verses.View(_ml);
        string path = _folder.Write("model.zip", "old");

        // The first of the chain is written before the second fails.
        ITransformer model = _ml.Transforms.CopyColumns("Copy", "Text").Fit(data).Append(new Unsaveable());
        Assert.Equal("no form", Assert.Throws<NotSupportedException>(() => _ml.Model.Save(model, data.Schema, new MemoryStream())).Message);
        Assert.Equal("no form", Assert.Throws<NotSupportedException>(() => _ml.Rbe.Save(model, data.Schema, path)).Message);
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void AMissingFolderIsNamedAndNotMade()
    {
        IDataView data = Verses.View(_ml);
        ITransformer model = _ml.Transforms.CopyColumns("Copy", "Text").Fit(data);
        string path = _folder.File(Path.Combine("none", "model.zip"));
        Assert.Contains(path, Assert.Throws<RbeFileException>(() => _ml.Rbe.Save(model, data.Schema, path)).Message);
        Assert.Throws<RbeFileException>(() => _ml.Rbe.Save(model, data.Schema, _folder.Path));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
        Assert.Throws<ArgumentNullException>(() => _ml.Rbe.Save(null!, data.Schema, path));
    }

    /// <summary>A transformer that cannot be saved.</summary>
    private sealed class Unsaveable : ITransformer
    {
        public bool IsRowToRowMapper => false;

        public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => inputSchema;

        public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema) => throw new NotSupportedException();

        public IDataView Transform(IDataView input) => input;

        void ICanSaveModel.Save(ModelSaveContext ctx) => throw new NotSupportedException("no form");
    }
}
