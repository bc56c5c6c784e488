using System.Collections.Concurrent;
using System.Linq.Expressions;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.VectorData;

namespace RbeMl.Extensions.AI.Tests.Hosting;

/// <summary>A text with its vector.</summary>
internal sealed class TextRecord
{
    [VectorStoreKey]
    public required string Key { get; init; }

    [VectorStoreData]
    public required string Text { get; init; }

    [VectorStoreVector(384)]
    public ReadOnlyMemory<float> Vector { get; set; }
}

/// <summary>A vector store's collection in memory that makes the vectors of texts and queries by a generator, as stores with one do.</summary>
/// <param name="generator">Makes the vectors.</param>
internal sealed class InMemoryCollection(IEmbeddingGenerator<string, Embedding<float>> generator) : VectorStoreCollection<string, TextRecord>
{
    private readonly ConcurrentDictionary<string, TextRecord> _records = [];

    public override string Name => "texts";

    public override Task<bool> CollectionExistsAsync(CancellationToken cancellationToken = default) => Task.FromResult(true);

    public override Task EnsureCollectionExistsAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

    public override Task EnsureCollectionDeletedAsync(CancellationToken cancellationToken = default)
    {
        _records.Clear();
        return Task.CompletedTask;
    }

    public override Task<TextRecord?> GetAsync(string key, RecordRetrievalOptions? options = null, CancellationToken cancellationToken = default) =>
        Task.FromResult(_records.GetValueOrDefault(key));

    public override IAsyncEnumerable<TextRecord> GetAsync(Expression<Func<TextRecord, bool>> filter, int top,
        FilteredRecordRetrievalOptions<TextRecord>? options = null, CancellationToken cancellationToken = default) =>
        _records.Values.Where(filter.Compile()).Take(top).ToAsyncEnumerable();

    public override Task DeleteAsync(string key, CancellationToken cancellationToken = default)
    {
        _records.TryRemove(key, out _);
        return Task.CompletedTask;
    }

    public override Task UpsertAsync(TextRecord record, CancellationToken cancellationToken = default) => UpsertAsync([record], cancellationToken);

    public override async Task UpsertAsync(IEnumerable<TextRecord> records, CancellationToken cancellationToken = default)
    {
        TextRecord[] all = [.. records];
        GeneratedEmbeddings<Embedding<float>> vectors = await generator.GenerateAsync(all.Select(record => record.Text), null, cancellationToken);
        for (int i = 0; i < all.Length; i++)
        {
            all[i].Vector = vectors[i].Vector;
            _records[all[i].Key] = all[i];
        }
    }

    public override async IAsyncEnumerable<VectorSearchResult<TextRecord>> SearchAsync<TInput>(
        TInput searchValue, int top, VectorSearchOptions<TextRecord>? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        string query = searchValue as string ?? throw new NotSupportedException("queries are texts");
        ReadOnlyMemory<float> vector = await generator.GenerateVectorAsync(query, null, cancellationToken);
        foreach ((TextRecord record, double score) in _records.Values
            .Select(record => (record, (double)TensorPrimitives.Dot(record.Vector.Span, vector.Span)))
            .OrderByDescending(found => found.Item2).Take(top))
        {
            yield return new VectorSearchResult<TextRecord>(record, score);
        }
    }

    public override object? GetService(Type serviceType, object? serviceKey = null) => serviceType.IsInstanceOfType(generator) ? generator : null;
}
