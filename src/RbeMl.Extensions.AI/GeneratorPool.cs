using System.Collections.Concurrent;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Extensions.AI;

/// <summary>Generators of one model on common threads: each serves one text at a time; who finds none free waits.</summary>
internal sealed class GeneratorPool : IDisposable
{
    private readonly TransformerModel<float> _model;
    private readonly ITokenizer _tokenizer;
    private readonly WorkerPool _workers;
    private readonly SemaphoreSlim _free;
    private readonly ConcurrentBag<Rental> _idle = [];
    private volatile bool _disposed;

    public GeneratorPool(TransformerModel<float> model, ITokenizer tokenizer, int threads, int concurrency)
    {
        (_model, _tokenizer) = (model, tokenizer);
        _workers = new WorkerPool(threads);
        _free = new SemaphoreSlim(concurrency == 0 ? Environment.ProcessorCount : concurrency);
    }

    /// <summary>A generator for one text; disposing gives it back.</summary>
    /// <exception cref="OperationCanceledException">Cancelled while waiting.</exception>
    /// <exception cref="ObjectDisposedException">The pool was disposed.</exception>
    public async ValueTask<Rental> RentAsync(CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(_disposed, typeof(RbeChatClient));
        await _free.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(RbeChatClient));
            return _idle.TryTake(out Rental? rental) ? rental : new Rental(this);
        }
        catch
        {
            _free.Release();
            throw;
        }
    }

    public void Dispose()
    {
        _disposed = true;
        FreeIdle();
        _workers.Dispose();
    }

    private void Return(Rental rental)
    {
        _idle.Add(rental);
        if (_disposed) FreeIdle();
        _free.Release();
    }

    private void FreeIdle()
    {
        while (_idle.TryTake(out Rental? rental)) rental.Free();
    }

    /// <summary>A generator and its texts.</summary>
    internal sealed class Rental : IDisposable
    {
        private readonly GeneratorPool _pool;
        private readonly Generator _generator;

        public Rental(GeneratorPool pool)
        {
            _pool = pool;
            _generator = new Generator(pool._model, pool._workers);
            Text = new TextGenerator(_generator, pool._tokenizer);
        }

        public TextGenerator Text { get; }

        public void Dispose() => _pool.Return(this);

        public void Free() => _generator.Dispose();
    }
}
